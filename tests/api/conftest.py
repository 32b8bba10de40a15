"""What tests of the API have: a server, a real one, and its record to write into as scripts do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .kit import Record, Server


@pytest.fixture
def start_server(penstock_home: Path) -> Iterator[Callable[..., Server]]:
    """`start_server(*options, **environment)`: servers of this test's home; they end with the test."""
    started: list[Server] = []

    def start(*options: str, **environment: str) -> Server:
        started.append(Server(penstock_home, options, environment))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


@pytest.fixture
def record(penstock_home: Path) -> Iterator[Record]:
    """The record of this test's home, or that of PENSTOCK_DATABASE_URL, opened as a script opens it."""
    found = Record(os.environ.get("PENSTOCK_DATABASE_URL") or penstock_home / "penstock.db", penstock_home)
    yield found
    found.store.close()
