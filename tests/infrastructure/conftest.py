from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..flows.fixtures import disconnected, gate, programs, record, threads_allowed
from .cluster import Cluster
from .vendor_api import Clock

__all__ = ["disconnected", "gate", "programs", "record", "threads_allowed"]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster of the test's own, as the one that is meant."""
    made = Cluster(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig))
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()
