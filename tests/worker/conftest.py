from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..flows.fixtures import disconnected, record, threads_allowed
from ..served.kit import ServerProcess, serving
from .kit import Workshop

__all__ = ["disconnected", "record", "threads_allowed"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with serving(tmp_path / "server") as started:
        yield started


@pytest.fixture
def workshop(tmp_path: Path, penstock_home: Path) -> Iterator[Workshop]:
    made = Workshop(tmp_path)
    yield made
    made.close()
