"""Programs that tell their secrets in every way they can think of. No file of PENSTOCK_HOME ever holds one in any form,
while they run or afterwards, however they end; nor what a task with `log_prints=False` printed.

PENSTOCK_TEST_SECRETS=300 runs so many programs (12 by default), PENSTOCK_TEST_SECRETS_SEED=7 the same ones again.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from penstock import connect
from penstock.domain.masking import Masker
from penstock.flows.runners import isolation

from .conftest import SOURCE
from .leaks import program

COUNT = int(os.environ.get("PENSTOCK_TEST_SECRETS", "12"))
SEED = int(os.environ.get("PENSTOCK_TEST_SECRETS_SEED", "0")) or random.randrange(1, 10**6)
PATIENCE = 60.0


class Search:
    """Looks for the secrets and marks of one program."""

    def __init__(self, seed: int) -> None:
        self.masker = Masker()
        self.needles: set[bytes] = set()
        for secret in program.secrets(seed):
            self.masker.add(secret)
            for line in (secret, *secret.split("\n")):
                texts = (line, repr(line)[1:-1], json.dumps(line)[1:-1], quote(line), quote(line, safe=""), line[::-1])
                self.needles.update(text.encode() for text in texts)
        for mark in program.marks(seed):
            self.masker.add(mark)
            self.needles.add(mark.encode())

    def found_in(self, data: bytes) -> list[str]:
        found = [repr(needle) for needle in self.needles if needle in data]
        return found or [f"a form of {secret!r}" for secret in self.masker.secrets_in(data)]


def searched(home: Path, search: Search) -> list[str]:
    """What is found in the files of a home, and in the cells of its record (which may lie in several pages)."""
    problems = []
    for folder, _, names in os.walk(home):  # (which does not mind that a folder goes while it is looked at)
        for name in names:
            try:
                data = (Path(folder) / name).read_bytes()
            except OSError:  # it is gone already
                data = b""
            text = f"{folder.removeprefix(str(home))}/{name}\n".encode() + data
            problems += [f"{found} in {name}" for found in search.found_in(text)]
    return problems


def cells(home: Path) -> Iterator[tuple[str, bytes]]:
    connection = sqlite3.connect(home / "penstock.db")
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):
                for cell in row:
                    yield table, cell if isinstance(cell, bytes) else str(cell).encode()
    finally:
        connection.close()


def environment(home: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    return {
        **os.environ,
        "PENSTOCK_HOME": str(home),
        "PENSTOCK_STOP_WATCHDOG": "true",
        "PENSTOCK_LOGGING_MAX_LINE_BYTES": "3000",
        "PENSTOCK_LOGGING_EXTRA_LOGGERS": "library",
        "PYTHONPATH": path,
        "PYTHONUTF8": "1",
    }


def tried(seed: int, folder: Path) -> list[str]:
    """What is found of one program, while it runs and afterwards."""
    ending = program.ENDINGS[seed % len(program.ENDINGS)]
    home = folder / f"home-{seed}"
    search = Search(seed)
    problems: list[str] = []
    output, ready = (folder / f"output-{seed}").open("wb"), folder / f"ready-{seed}"  # beside the home
    with subprocess.Popen(
        [sys.executable, program.__file__, str(seed), ending, "6"],
        env={**environment(home), "READY": str(ready)},
        cwd=folder,
        stdout=output,
        stderr=output,
        start_new_session=True,
    ) as process:
        done = threading.Event()
        watching = threading.Thread(target=_watch, args=(done, home, search, problems))
        watching.start()
        try:
            if ending == "unended":
                deadline = time.monotonic() + PATIENCE
                while not ready.exists() and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.01)
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            problems.append("the program did not end")
        finally:
            done.set()
            watching.join()
    output.close()
    # Whoever opens the record next takes over what the dead left behind.
    listed = subprocess.run(
        [sys.executable, "-m", "penstock", "flow-run", "ls"], env=environment(home), capture_output=True, text=True
    )
    if listed.returncode or not listed.stdout.count("\n"):
        problems.append(f"nothing was recorded: {listed.stderr}")
    problems += searched(home, search)
    for table, cell in cells(home):
        problems += [f"{found} in the table {table}" for found in search.found_in(cell)]
    return [f"seed {seed} ({ending}): {problem}" for problem in dict.fromkeys(problems)]


def _watch(done: threading.Event, home: Path, search: Search, problems: list[str]) -> None:
    while not done.wait(0.05):
        problems += [f"{found}, while it ran" for found in searched(home, search)]


@pytest.mark.timeout(120 + 10 * COUNT)
@pytest.mark.skipif(os.name != "posix", reason="programs are killed")
def test_no_secret_of_a_program_is_ever_in_a_file(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        problems = [
            each for found in pool.map(lambda seed: tried(seed, tmp_path), range(SEED, SEED + COUNT)) for each in found
        ]
    assert not problems, "\n".join([f"PENSTOCK_TEST_SECRETS={COUNT} PENSTOCK_TEST_SECRETS_SEED={SEED}:", *problems])


@pytest.fixture
def threads_allowed() -> tuple[str, ...]:
    return ("penstock-timers",)


@pytest.fixture
def home(no_threads_left: None, penstock_home: Path) -> Iterator[Path]:
    """What the flow leaves behind in this process is closed."""
    yield penstock_home
    isolation.close()
    connect.disconnect()


@pytest.mark.parametrize("offset", range(0, 4, 2))
def test_no_secret_of_a_flow_called_here_is_ever_in_a_file(
    offset: int, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seed = SEED // 2 * 2 + offset
    search = Search(seed)
    monkeypatch.setenv("PENSTOCK_LOGGING_MAX_LINE_BYTES", "3000")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match="ends with"):
        program.run(seed, "raise", 8)
    problems = searched(home, search)
    connect.disconnect()
    problems += searched(home, search)
    problems += [f"{found} in the table {table}" for table, cell in cells(home) for found in search.found_in(cell)]
    assert not problems, f"PENSTOCK_TEST_SECRETS_SEED={SEED}: {problems}"
