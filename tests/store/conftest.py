from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A fresh record."""
    made = SqliteStore(tmp_path / "record" / "penstock.db")
    yield made
    made.close()
