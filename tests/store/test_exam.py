"""The store's exam, taken by SQLite."""

from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.store import exam
from penstock.store.sqlite import SqliteStore


@pytest.mark.parametrize("check", exam.CHECKS, ids=lambda check: check.__name__)
def test_sqlite_passes(check: Callable[[exam.Open], None], tmp_path: Path) -> None:
    check(lambda: SqliteStore(tmp_path / "penstock.db"))
