"""The record in PostgreSQL: what goes wrong with a database is told in a sentence and heals by itself; several servers
on one database agree on who writes, who leads, and what changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from penstock.domain.errors import ConfigurationError
from penstock.exceptions import CorruptStoreError, SchemaVersionError, StoreUnavailableError
from penstock.store import migrate, postgres, task_runs
from penstock.store.exam import PATIENCE
from penstock.store.postgres import PostgresStore
from penstock.store.postgres_tx import COPY_FROM, translated

from ..postgres import LASTING, PASSWORD, Server, require_postgres
from .kit import environment, task_run

pytestmark = pytest.mark.postgres


def opened(url: str, **options: object) -> PostgresStore:
    return PostgresStore(url, spool_folder=Path("/nowhere"), **options)  # type: ignore[arg-type]


def count(store: PostgresStore) -> int:
    with store.read() as tx:
        return tx.row("SELECT count(*) FROM task_run")[0]  # type: ignore[index]


def add(store: PostgresStore, runs: int = 1) -> None:
    with store.write() as tx:
        task_runs.report(tx, [task_run() for _ in range(runs)])


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that a test may stop."""
    require_postgres()
    server = Server(LASTING)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


# --- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [0, 1, 2, 63, COPY_FROM - 1, COPY_FROM, COPY_FROM + 1, 3000])
def test_any_number_of_rows_is_written_by_one_call(postgres_store: PostgresStore, rows: int) -> None:
    for _ in range(2):
        with postgres_store.write() as tx:
            runs = [task_run() for _ in range(rows)]
            task_runs.report(tx, runs)
            task_runs.report(tx, runs)
    assert count(postgres_store) == 2 * rows


def test_placeholders_are_turned_where_they_are_placeholders() -> None:
    assert translated("SELECT '?', \"?\", ? FROM a WHERE b = ? LIMIT 1") == (
        b"SELECT '?', \"?\", $1 FROM a WHERE b = $2 LIMIT 1",
        False,
    )


def test_after_an_upgrade_the_database_knows_what_is_in_a_new_column(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would look at every row for the few that have something there."""
    store = opened(url)
    add(store, 1000)
    store.close()
    more = (migrate.NEWEST + 1, "9000_more.sql", "ALTER TABLE task_run ADD COLUMN colour TEXT;")
    scripts = [*migrate.scripts(), more]
    monkeypatch.setattr(migrate, "scripts", lambda: scripts)
    monkeypatch.setattr(migrate, "NEWEST", migrate.NEWEST + 1)
    store = opened(url)
    with store.read() as tx:
        known = tx.row("SELECT null_frac FROM pg_stats WHERE tablename = 'task_run' AND attname = 'colour'")
    assert known == (1.0,)
    store.close()


# --- several servers -------------------------------------------------------------------------------------------------


def test_servers_that_start_at_once_on_an_empty_database_make_its_tables_once(postgres_server: Server) -> None:
    with postgres_server.database() as url:
        problems: list[BaseException] = []
        begin = threading.Barrier(4)

        def start() -> None:
            begin.wait()
            try:
                opened(url).close()
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT version FROM penstock_schema ORDER BY version").fetchall()
        assert [version for (version,) in rows] == list(range(1, migrate.NEWEST + 1))


def test_a_writer_waits_for_another_server_and_gives_up_with_a_sentence(url: str) -> None:
    one, other = opened(url), opened(url, patience=0.2)
    with (
        one.write(),
        pytest.raises(StoreUnavailableError, match="locked by another server for too long"),
        other.write(),
    ):
        pass
    add(other)
    assert count(one) == 1
    one.close()
    other.close()


def test_readers_that_find_no_connection_free_are_told_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "READ_PATIENCE", 0.1)
    store = opened(url, readers=1)
    with store.read(), pytest.raises(StoreUnavailableError, match="All 1 connections"), store.read():
        pass
    assert count(store) == 0
    store.close()


def test_a_server_that_dies_leads_no_more(postgres_store: PostgresStore, url: str, tmp_path: Path) -> None:
    program = f"""if True:
        import sys
        from pathlib import Path
        from penstock.store.postgres import PostgresStore
        lead = PostgresStore({url!r}, spool_folder=Path("/nowhere")).try_lead("loops")
        print(lead is not None, flush=True)
        sys.stdin.read()"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(tmp_path)
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        assert postgres_store.try_lead("loops") is None
        process.kill()
    lead = None
    seen = postgres_store.changes()
    while lead is None:  # as soon as the database has noticed
        lead = postgres_store.try_lead("loops")
        postgres_store.wait_for_change(seen, 0.01)
    lead.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_connections_of_its_own_and_the_parents_go_on(postgres_store: PostgresStore) -> None:
    add(postgres_store)
    lead = postgres_store.try_lead("loops")
    assert lead is not None
    seen = postgres_store.changes()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            add(postgres_store)
            status = 0 if count(postgres_store) == 2 and postgres_store.try_lead("loops") is None else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert postgres_store.wait_for_change(seen, PATIENCE) != seen, "the child's change is another one's"
    assert lead.is_held()
    assert count(postgres_store) == 2


# --- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_after_a_restart_of_the_database_the_store_goes_on(own_server: Server, how: signal.Signals) -> None:
    store = opened(own_server.url())
    add(store)
    seen = store.changes()
    lead = store.try_lead("loops")
    assert lead is not None

    with pytest.raises(StoreUnavailableError) as raised, store.write() as tx:  # noqa: PT012
        task_runs.report(tx, [task_run()])
        own_server.stop(how)
        task_runs.report(tx, [task_run()])
    assert str(own_server.port) in str(raised.value)
    assert not lead.is_held()
    with pytest.raises(StoreUnavailableError, match="does not answer"), store.read():
        pass
    own_server.start()

    assert store.wait_for_change(seen, PATIENCE) != seen, "nobody knows what others changed meanwhile"
    assert count(store) == 1, "what was under way is undone"
    add(store, 2)
    assert count(store) == 3
    own = store.changes()
    another = opened(own_server.url())
    _until_it_listens(store, another, own)
    again = store.try_lead("loops")
    assert again is not None
    for each in (store, another):
        each.close()


def _until_it_listens(store: PostgresStore, another: PostgresStore, seen: int) -> None:
    while store.wait_for_change(seen, 0.05) == seen:
        add(another)


def test_connections_that_the_database_cut_are_replaced_without_a_word(
    postgres_store: PostgresStore, url: str, postgres_server: Server
) -> None:
    add(postgres_store)
    database = url.rpartition("/")[2]
    postgres_server.command(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
    assert count(postgres_store) == 1
    add(postgres_store)
    assert count(postgres_store) == 2


def refusal(url: str) -> str:
    with pytest.raises(StoreUnavailableError) as raised:
        opened(url)
    said = str(raised.value)
    assert PASSWORD not in said
    assert "pass%2Fword" not in said
    assert "127.0.0.1" in said
    return said


def test_what_keeps_a_database_from_being_used_is_said_without_the_password(
    postgres_server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "password authentication failed" in refusal(url.replace("pass%2F", "other"))
    assert "CREATE DATABASE" in refusal(postgres_server.url("nowhere"))
    assert "does not answer" in refusal(url.replace(f":{postgres_server.port}/", ":1/"))
    monkeypatch.setattr("penstock.store.postgres_connections.OLDEST", 99)
    assert "needs 99 or newer" in refusal(url)


def test_a_database_that_cannot_hold_every_text_is_refused(postgres_server: Server) -> None:
    postgres_server.command("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    assert "ENCODING 'UTF8'" in refusal(postgres_server.url("latin"))


def test_a_database_that_is_full_of_clients_says_so(url: str, postgres_server: Server) -> None:
    name = url.rpartition("/")[2]
    role = f"narrow_{name}"
    postgres_server.command(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 0")
    assert "max_connections" in refusal(url.replace("//penstock:", f"//{role}:"))


def test_a_database_that_may_only_be_read_says_so(url: str, postgres_server: Server) -> None:
    name = url.rpartition("/")[2]
    postgres_server.command(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    store = opened(url)
    with pytest.raises(StoreUnavailableError, match="can only be read"), store.write() as tx:
        task_runs.report(tx, [task_run()])
    store.close()


def test_a_database_of_another_program_is_left_alone(postgres_server: Server) -> None:
    with postgres_server.database() as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE log (line TEXT)")
        assert "tables of another program" in refusal(url)
        with psycopg.connect(url) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert tables == [("log",)]


def test_a_record_may_have_a_schema_of_its_own_in_a_database_of_others(postgres_server: Server) -> None:
    with postgres_server.database() as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE log (line TEXT)")
            connection.execute("CREATE SCHEMA penstock")
        for _ in range(2):
            store = opened(f"{url}?options=-csearch_path%3Dpenstock")
            add(store, COPY_FROM)
            store.close()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM penstock.task_run").fetchone() == (2 * COPY_FROM,)
            assert connection.execute("SELECT count(*) FROM log").fetchone() == (0,)


def test_a_record_that_lacks_a_table_is_damaged(postgres_store: PostgresStore) -> None:
    with postgres_store.write() as tx:
        tx.run("DROP TABLE task_run")
    with pytest.raises(CorruptStoreError, match="task_run"):
        count(postgres_store)


def test_a_record_of_a_newer_penstock_is_refused(postgres_store: PostgresStore, url: str) -> None:
    with postgres_store.write() as tx:
        tx.run("INSERT INTO penstock_schema VALUES (9999, '9999_future.sql', 0)")
    with pytest.raises(SchemaVersionError, match="9999"):
        opened(url)


def test_a_transaction_whose_process_was_stopped_ends_and_others_have_their_turns(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "STOPPED_AFTER", 0.2)
    stopped, other = opened(url), opened(url)
    with pytest.raises(StoreUnavailableError, match="took too long"), stopped.write() as tx:  # noqa: PT012
        task_runs.report(tx, [task_run()])
        add(other)  # waits until the database has ended the transaction before it
        task_runs.report(tx, [task_run()])
    assert count(other) == 1
    add(stopped)
    assert count(other) == 2
    stopped.close()
    other.close()


@pytest.mark.parametrize(
    "bad",
    [
        "postgresql://me:se/cret@host:port/db",
        "postgresql://me:12/cret@host/db",
        "postgresql://me:se?cret@host/db",
        "postgresql://me:s@cret@host/db",
        "postgresql://me:secret@host:port/db",
        "postgresql://me:secret@host/db?nonsense=1",
        "postgresql://me:secret@[::1/db",
        "postgresql://me:sec%ret@host/db",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(bad: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        opened(bad)
    assert "cret" not in str(raised.value)
    assert "%40 for @" in str(raised.value)
