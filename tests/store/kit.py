"""Runs and lines to record, and what this machine lets a test do."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from penstock.domain.ids import flow_id
from penstock.domain.logs import LogLine
from penstock.domain.runs import FlowRun, Holder, TaskRun
from penstock.domain.states import State, make
from penstock.engine.clock import SYSTEM

START = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
HOLDER = Holder("host", "boot", 123, "456")
SOURCE = Path(__file__).resolve().parents[2] / "src"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def path(*names: str) -> tuple[State[Any], ...]:
    """States a second apart."""
    return tuple(make(name, at(seconds)) for seconds, name in enumerate(names))


def task_run(*names: str, **fields: Any) -> TaskRun:
    states = path(*(names or ("Pending",)))
    known = {"id": SYSTEM.new_id(), "name": "load-0", "created": START, "task_name": "load", "task_key": "etl.load"}
    return TaskRun(**{**known, "states": states, "version": len(states), **fields})


def flow_run(*names: str, **fields: Any) -> FlowRun:
    states = path(*(names or ("Pending",)))
    known = {"id": SYSTEM.new_id(), "name": "shy-owl", "created": START, "flow_id": flow_id("etl"), "flow_name": "etl"}
    return FlowRun(**{**known, "states": states, "version": len(states), "holder": HOLDER, **fields})


def line(run_id: UUID, seq: int, message: str = "hello", **fields: Any) -> LogLine:
    return LogLine(run_id, fields.pop("task_run_id", None), seq, at(seq), fields.pop("level", 20), message, **fields)


# Root is held by no permissions, by two of its capabilities; a program that it starts need not have them.
AS_SOMEBODY = """
import ctypes, os, sys
if os.geteuid() == 0:
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability)  # PR_CAPBSET_DROP
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def as_somebody(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Python, run by somebody whom permissions hold for."""
    command = [sys.executable, "-c", AS_SOMEBODY, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(home), cwd="/")


def environment(home: Path) -> dict[str, str]:
    """For a child process that uses this home and these sources."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return {**kept, "PENSTOCK_HOME": str(home), "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}
