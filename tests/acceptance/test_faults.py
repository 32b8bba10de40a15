"""Programs of many kinds, each killed, cancelled, timed out or frozen at a random moment. Afterwards no process is
left, no run is open, and every record matches what happened.

PENSTOCK_TEST_FAULTS=300 runs so many (60 by default), PENSTOCK_TEST_FAULTS_SEED=7 the same faults again, and
PENSTOCK_TEST_FAULTS_ONLY=nested:cancel,pool:,:int these kinds and faults only. Moments are the machine's own, so that a
failure may need several runs to be seen again.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from .faults.checks import Checks, leftovers
from .faults.drive import GRACE, MARK, Case, Faults, cases

COUNT = int(os.environ.get("PENSTOCK_TEST_FAULTS", "60"))
SEED = int(os.environ.get("PENSTOCK_TEST_FAULTS_SEED", "0")) or random.randrange(1, 10**6)
ONLY = os.environ.get("PENSTOCK_TEST_FAULTS_ONLY", "")
# How long all that was started may take to be gone after the last program has ended.
PARTING = 8.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found by /proc")


@pytest.mark.timeout(60 + 3 * COUNT)
def test_after_faults_no_process_is_left_and_the_record_is_true(
    penstock_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"{os.getpid()}-{time.time_ns()}"
    monkeypatch.setenv(MARK, f"{mark}:test")  # for what is started on behalf of the test itself
    # Theirs and the test's own: a request that its program does not answer is enforced by who made it.
    monkeypatch.setenv("PENSTOCK_STOP_GRACE_SECONDS", str(GRACE))
    every = cases(COUNT, SEED, ONLY)
    faults = Faults(penstock_home, tmp_path, mark)
    try:
        faults.run(every)
        bad, orphans = _settled(faults, every)
        listed = faults.command("flow-run", "ls")
        assert listed.returncode == 0, listed.stderr
        checks = Checks(penstock_home / "penstock.db", every, faults.beats)
        problems = [*checks.problems(), *bad]
    finally:
        faults.end_all()
    _tell(every, checks, orphans)
    assert not problems, _report(faults, every, problems)


def _settled(faults: Faults, every: list[Case]) -> tuple[list[str], list[str]]:
    """What is left when all had their time to go."""
    deadline = time.monotonic() + PARTING
    while True:
        bad, orphans = leftovers(faults, every)
        if not bad or time.monotonic() > deadline:
            return bad, orphans
        time.sleep(0.1)


def _tell(every: list[Case], checks: Checks, orphans: list[str]) -> None:
    """Counts, for whoever runs this with -s or -rP."""
    print(f"{len(every)} programs, seed {SEED}: {len(checks.flows)} flow runs, {len(checks.tasks)} task runs")
    print(f"{len(orphans)} processes that killed programs had started for themselves went on")
    ends: Counter[tuple[str, str]] = Counter()
    for run in [*checks.flows.values(), *checks.tasks.values()]:
        case = checks.case_of(run)
        if run.flow_run_id is None and case is not None:
            ends[case.fault, run.state_name] += 1
    for (fault, state), count in sorted(ends.items()):
        print(f"{fault:16} {state:10} {count}")


def _report(faults: Faults, every: list[Case], problems: list[str]) -> str:
    texts = [f"{len(problems)} problems (PENSTOCK_TEST_FAULTS={COUNT} PENSTOCK_TEST_FAULTS_SEED={SEED}):", *problems]
    for case in every:
        if any(str(case) in problem for problem in problems):
            texts.append(f"--- {case} wrote:\n{faults.errors_of(case)}")
    return "\n".join(texts)
