"""Prefect's code, run as its owner would: a script in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.acceptance.conftest import Ended, Record, record

__all__ = ["Ended", "Record", "Script", "record"]

SOURCE = Path(__file__).parents[2] / "src"
Script = Callable[..., Ended]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "cwd"
    made.mkdir()
    return made


@pytest.fixture
def environment(penstock_home: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"}


@pytest.fixture
def script(folder: Path, environment: dict[str, str]) -> Script:
    """Runs a program's text, as `script.py`, by `penstock run --prefect`, or by `command` of `python`."""

    def run(
        text: str, *arguments: str, command: tuple[str, ...] = ("-m", "penstock", "run", "--prefect"), **variables: str
    ) -> Ended:
        path = folder / "script.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return python(folder, {**environment, **variables}, *command, "script.py", *arguments)

    return run


def python(folder: Path, environment: dict[str, str], *arguments: str) -> Ended:
    """`python ARGUMENTS…`, to its end."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    return Ended(done.returncode, done.stdout, done.stderr, 0.0)
