"""Fixtures of all tests that let runs happen; the folders' `conftest.py` take them from here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import connect
from penstock.flows.runners import isolation

from .kit import Gate, Programs, Record


@pytest.fixture
def threads_allowed() -> tuple[str, ...]:
    """The timers' thread is the process's; it ends by itself when it has been idle for a while."""
    return ("penstock-timers",)


@pytest.fixture(autouse=True)
def disconnected(no_threads_left: None) -> Iterator[None]:
    """Each test has a record of its own, and gives it back."""
    yield
    isolation.close()
    connect.disconnect()
    from penstock.flows import calls

    if calls._outside is not None:
        calls._outside.close()
        calls._outside = None


@pytest.fixture
def record(penstock_home: Path) -> Record:
    return Record()


@pytest.fixture
def programs(tmp_path: Path, penstock_home: Path) -> Iterator[Programs]:
    made = Programs(tmp_path)
    yield made
    made.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open()
