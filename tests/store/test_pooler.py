"""A record in PostgreSQL behind PgBouncer in transaction mode, which gives a client another connection each time."""

from __future__ import annotations

import contextlib
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from tests.pgbouncer import CONNECTIONS
from tests.postgres import PASSWORD, Server

from penstock.domain.errors import ConfigurationError
from penstock.store import exam
from penstock.store.opening import open_store
from penstock.store.postgres import PostgresStore

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("check", exam.CHECKS, ids=lambda check: check.__name__)
def test_a_store_behind_a_pooler_passes_the_exam(
    check: exam.Check, pooled_url: str, postgres_url: str, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:

        def open_one() -> PostgresStore:
            made = PostgresStore(pooled_url, spool_folder=tmp_path / "spool", direct=postgres_url)
            return stack.enter_context(contextlib.closing(made))

        check(open_one)


def test_many_stores_have_few_connections_of_the_database(
    pooled_url: str, postgres_url: str, postgres_server: Server, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        stores = [
            stack.enter_context(
                contextlib.closing(open_store(pooled_url, spool_folder=tmp_path / "spool", direct=postgres_url))
            )
            for _ in range(10)
        ]
        for store in stores:
            with store.write() as tx:
                tx.insert("flow", ("id", "name", "created"), [(uuid4().bytes, f"flow-{id(store)}", 1)], "")
            with store.read() as tx:
                assert tx.row("SELECT count(*) FROM flow") is not None
        database = urlsplit(postgres_url).path[1:]
        ((count,),) = postgres_server.command(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'")
        assert count <= CONNECTIONS  # type: ignore[operator]


def test_a_pooler_without_the_way_past_it_is_refused(pooled_url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"a pooler answers.*PENSTOCK_DATABASE_DIRECT_URL") as raised:
        open_store(pooled_url, spool_folder=tmp_path)

    assert PASSWORD not in str(raised.value)


def test_a_pooler_that_is_said_to_keep_connections_apart_is_believed(pooled_url: str, tmp_path: Path) -> None:
    open_store(pooled_url, spool_folder=tmp_path, direct=pooled_url).close()


def test_a_way_past_it_that_is_no_url_of_postgresql_is_refused(pooled_url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_DATABASE_DIRECT_URL is not a URL"):
        open_store(pooled_url, spool_folder=tmp_path, direct="mysql://x")
