"""What tests of served runs are given: servers, and programs that report to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..flows.kit import Programs
from .kit import ServerProcess, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server on an SQLite record of its own."""
    with serving(tmp_path / "server") as started:
        yield started


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    folder = tmp_path / "programs"
    folder.mkdir()
    made = Programs(folder)
    yield made
    made.close()
