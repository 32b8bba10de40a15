"""The store's exam, taken by SQLite and by PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from penstock.store import exam
from penstock.store.contract import Store
from penstock.store.opening import open_store


@pytest.fixture
def open_one(database: str, tmp_path: Path) -> Iterator[exam.Open]:
    """Opens the record of this test, as often as it is called; all are closed in the end."""
    with ExitStack() as stack:

        def opened() -> Store:
            return stack.enter_context(closing(open_store(database, spool_folder=tmp_path / "spool")))

        yield opened


@pytest.mark.parametrize("check", exam.CHECKS, ids=lambda check: check.__name__)
def test_a_store_keeps_what_the_contract_promises(check: Callable[[exam.Open], None], open_one: exam.Open) -> None:
    check(open_one)
