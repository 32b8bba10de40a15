"""What is said of fleets was measured, or is said to be reckoned; and the model reckons what it says that it does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import binaries

ROOT = Path(__file__).parents[2]

# The benchmarks are no part of the package. Costs are round numbers, so that what follows from them is known.
SIMULATED = """
import json
import sys
from benchmarks.fleet_simulation import Fleet, Machines, Profile

asked = json.loads(sys.argv[1])
costs = {"transaction": 0.002, "renew": 0.0001, "begin": 0.001, "end": 0.001, "task_run": 0.0001, "line": 0.00001,
         "statements": {"transaction": 3, "renew": 0, "begin": 6, "end": 8}, "database": 0.5, "server": 0.5,
         "request": 0.0005, "look": 0.0005, "look_database": 0.0005, "rescue": 0.000005}
profile = Profile(asked.get("length", 60.0), 6, 60, asked.get("launched", 0.0))
machines = Machines(asked["servers"], 4, round_trip=asked.get("round_trip", 0.0))
found = Fleet(costs, profile, machines, asked["runs"]).simulate()
print(json.dumps([found.requests, found.servers, found.database, found.turn, found.of_changes(50),
                  found.of_changes(99)]))
"""


def ran(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)


def simulated(**asked: Any) -> list[float]:
    ended = ran("-c", SIMULATED, json.dumps(asked))
    assert ended.returncode == 0, ended.stderr[-2000:]
    found: list[float] = json.loads(ended.stdout)
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(binaries() is None, reason="PostgreSQL is absent")
def test_a_small_fleet_runs_through_every_row_is_there_and_the_model_takes_its_figures(tmp_path: Path) -> None:
    figures, page, reckoned = (str(tmp_path / name) for name in ("figures.json", "page.md", "reckoned.md"))
    ended = ran(
        "-m", "benchmarks.fleet", "--quick", "--runs", "40", "--seconds", "3", "--length", "5", "--workers", "2",
        "--json", figures, "--markdown", page,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    text = Path(page).read_text()
    assert re.search(r"\| against what was answered as recorded +\| +all of it \|", text)
    assert re.search(r"\| errors +\| +0 \|", text)
    for what in ("Begin", "Enter", "create a run", "Take and Enter"):
        assert f"| {what}" in text, what
    ended = ran(
        "-m", "benchmarks.fleet_model", figures, "--days", "1000", "--profiles", "6,5,20", "--markdown", reckoned
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    text = Path(reckoned).read_text()
    assert "| 40 runs, 2 servers" in text
    assert re.search(r"\| 1,000 +\|", text)
    assert "nothing in this table was measured" in text


def test_the_model_sends_what_so_many_runs_send() -> None:
    """Of 600 runs of a minute ten begin and end in a second; each reports each of its six tasks, and keeps its lease in
    between."""
    requests, *_ = simulated(servers=2, runs=600)
    assert requests == pytest.approx(10 * (1 + 6 + 1), rel=0.1)
    requests, *_ = simulated(servers=2, runs=600, length=180.0)  # reports every 30 s, so one renewal between them
    assert requests == pytest.approx(600 / 180 * (1 + 6 + 6 + 1), rel=0.1)


def test_in_the_model_writers_take_turns_and_a_database_far_away_makes_each_longer() -> None:
    near = simulated(servers=2, runs=600)
    far = simulated(servers=2, runs=600, round_trip=0.001)
    assert far[3] > near[3] * 1.3  # of the time somebody writes
    assert far[4] > near[4] + 0.005  # a change waits for its statements


def test_what_the_model_cannot_answer_in_time_is_not_left_out() -> None:
    *_, longest = simulated(servers=2, runs=600, round_trip=0.02)
    assert longest > 1.0
