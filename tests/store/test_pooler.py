"""A record in PostgreSQL behind PgBouncer in transaction mode, which gives a client another connection each time."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from tests.postgres import PASSWORD, USER, Server, _end_with_parent, _free_port, _somebody

from penstock.domain.errors import ConfigurationError
from penstock.store import exam
from penstock.store.opening import open_store
from penstock.store.postgres import PostgresStore

pytestmark = pytest.mark.postgres

CONNECTIONS = 3


@pytest.fixture(scope="module")
def bouncer(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a PgBouncer before the test run's PostgreSQL; it has three connections of each database for all."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        if os.environ.get("PENSTOCK_TEST_REQUIRE_ALL") == "1":
            pytest.fail("pgbouncer is absent, and PENSTOCK_TEST_REQUIRE_ALL=1 asks for every tool", pytrace=False)
        pytest.skip("pgbouncer is absent")
    folder, port, user = postgres_server.folder / "bouncer", _free_port(), _somebody()
    folder.mkdir()
    (folder / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
    (folder / "ini").write_text(f"""
[databases]
* = host=127.0.0.1 port={postgres_server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder / "users"}
pool_mode = transaction
default_pool_size = {CONNECTIONS}
max_client_conn = 200
""")
    if user is not None:
        for each in (folder, *folder.iterdir()):
            os.chown(each, user.pw_uid, user.pw_gid)
    as_somebody = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(folder / "ini")], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            preexec_fn=_end_with_parent, **as_somebody,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                psycopg.connect(_through(postgres_server.url(), port), connect_timeout=5).close()
                break
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "log").read_text()) from None
                time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()


@pytest.fixture
def pooled(bouncer: int, postgres_url: str) -> str:
    return _through(postgres_url, bouncer)


@pytest.mark.parametrize("check", exam.CHECKS, ids=lambda check: check.__name__)
def test_a_store_behind_a_pooler_passes_the_exam(
    check: exam.Check, pooled: str, postgres_url: str, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:

        def open_one() -> PostgresStore:
            made = PostgresStore(pooled, spool_folder=tmp_path / "spool", direct=postgres_url)
            return stack.enter_context(contextlib.closing(made))

        check(open_one)


def test_many_stores_have_few_connections_of_the_database(
    pooled: str, postgres_url: str, postgres_server: Server, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        stores = [
            stack.enter_context(
                contextlib.closing(open_store(pooled, spool_folder=tmp_path / "spool", direct=postgres_url))
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


def test_a_pooler_without_the_way_past_it_is_refused(pooled: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"a pooler answers.*PENSTOCK_DATABASE_DIRECT_URL") as raised:
        open_store(pooled, spool_folder=tmp_path)

    assert PASSWORD not in str(raised.value)


def test_a_pooler_that_is_said_to_keep_connections_apart_is_believed(pooled: str, tmp_path: Path) -> None:
    open_store(pooled, spool_folder=tmp_path, direct=pooled).close()


def test_a_way_past_it_that_is_no_url_of_postgresql_is_refused(pooled: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_DATABASE_DIRECT_URL is not a URL"):
        open_store(pooled, spool_folder=tmp_path, direct="mysql://x")
