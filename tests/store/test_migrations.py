"""Scripts are numbered, applied once, each wholly or not at all; a record from the future is left alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from penstock.domain.launches import Launch
from penstock.engine.clock import SYSTEM
from penstock.exceptions import SchemaVersionError
from penstock.store import codec, lanes, launches, migrate
from penstock.store.sqlite import SqliteStore

from .kit import at


@pytest.fixture
def store(sqlite_store: SqliteStore) -> SqliteStore:
    return sqlite_store


def applied(path: Path) -> list[tuple[int, str]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT version, name FROM penstock_schema ORDER BY version").fetchall()
    connection.close()
    return rows


def schema(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").fetchall()
    connection.close()
    return [row[0] for row in rows]


def test_a_fresh_record_has_every_script_once(store: SqliteStore) -> None:
    assert applied(store.path) == [(number, name) for number, name, _ in migrate.scripts()]


def test_scripts_are_numbered_from_one_without_gaps_and_the_newest_is_known() -> None:
    assert [number for number, _, _ in migrate.scripts()] == list(range(1, migrate.NEWEST + 1))


def test_opening_again_changes_nothing(store: SqliteStore) -> None:
    before = schema(store.path), applied(store.path)
    store.close()
    SqliteStore(store.path).close()
    assert (schema(store.path), applied(store.path)) == before


def test_a_record_of_a_newer_penstock_is_refused_and_left_alone(store: SqliteStore) -> None:
    with store.write() as tx:
        tx.run("INSERT INTO penstock_schema VALUES (9999, '9999_future.sql', 0)")
    store.close()
    before = store.path.read_bytes()
    with pytest.raises(SchemaVersionError) as raised:
        SqliteStore(store.path)
    for part in (str(store.path), "9999", str(migrate.NEWEST), "Upgrade penstock"):
        assert part in str(raised.value)
    assert store.path.read_bytes() == before


def test_a_script_that_fails_leaves_the_record_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = migrate.scripts()
    bad = [*good, (migrate.NEWEST + 1, "bad.sql", "CREATE TABLE extra (a INTEGER); CREATE TABLE extra (a INTEGER);")]
    path = tmp_path / "penstock.db"
    SqliteStore(path).close()
    before = schema(path)
    monkeypatch.setattr(migrate, "scripts", lambda: bad)
    monkeypatch.setattr(migrate, "NEWEST", migrate.NEWEST + 1)
    with pytest.raises(Exception, match="extra"):
        SqliteStore(path)
    assert schema(path) == before


def test_a_new_script_is_applied_to_an_old_record_and_what_is_in_it_stays(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.write() as tx:
        tx.run("INSERT INTO flow VALUES (x'00', 'kept', 0)")
    store.close()
    more = (migrate.NEWEST + 1, "9000_more.sql", "ALTER TABLE flow ADD COLUMN colour TEXT;")
    scripts = [*migrate.scripts(), more]
    monkeypatch.setattr(migrate, "scripts", lambda: scripts)
    monkeypatch.setattr(migrate, "NEWEST", migrate.NEWEST + 1)
    again = SqliteStore(store.path)
    with again.read() as tx:
        assert tx.row("SELECT name, colour FROM flow") == ("kept", None)
    again.close()
    assert applied(store.path)[-1] == (migrate.NEWEST, "9000_more.sql")


def test_a_record_from_before_blocks_gets_their_tables_and_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "penstock.db"
    every = migrate.scripts()
    monkeypatch.setattr(migrate, "scripts", lambda: every[:3])
    monkeypatch.setattr(migrate, "NEWEST", 3)
    old = SqliteStore(path)
    with old.write() as tx:
        tx.run("INSERT INTO flow VALUES (x'00', 'kept', 0)")
    old.close()
    assert applied(path)[-1] == (3, "0003_retries.sql")
    monkeypatch.undo()

    again = SqliteStore(path)

    with again.write() as tx:
        assert tx.row("SELECT name FROM flow") == ("kept",)
        assert tx.row("SELECT count(*) FROM block_document") == (0,)
        assert tx.row("SELECT count(*) FROM variable") == (0,)
    again.close()
    assert applied(path) == [(number, name) for number, name, _ in every]


def test_what_waits_in_a_record_from_before_lanes_is_given_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "penstock.db"
    every = migrate.scripts()
    monkeypatch.setattr(migrate, "scripts", lambda: every[:19])
    monkeypatch.setattr(migrate, "NEWEST", 19)
    old = SqliteStore(path)
    made = [
        Launch(flow_run_id=SYSTEM.new_id(), scheduled=at(second), work_pool=pool, work_queue=queue, deployment_id=id)
        for second, pool, queue, id in (
            (2, "local", "default", None),
            (1, "local", "default", None),
            (3, None, None, SYSTEM.new_id()),
        )
    ]
    with old.write() as tx:
        for launch in made:
            columns = (
                "flow_run_id",
                "deployment_id",
                "work_pool",
                "work_queue",
                "priority",
                "scheduled",
                "late",
                "data",
            )
            row = (
                launch.flow_run_id.bytes, codec.blob(launch.deployment_id), launch.work_pool, launch.work_queue, 100,
                codec.exact_micros(launch.scheduled), 0, msgspec.json.encode(launch).decode(),
            )  # fmt: skip
            tx.insert("launch", columns, [row], "ON CONFLICT DO NOTHING")
    old.close()
    monkeypatch.undo()

    again = SqliteStore(path)

    with again.write() as tx:
        for lines, wanted in ((["local/default"], [made[1], made[0]]), ([made[2].line], [made[2]])):
            for launch in wanted:
                (head,) = lanes.heads(tx, lines, at(9), 5)
                assert head == launch
                head.claimed = at(9)
                launches.take(tx, head)
            lanes.clear(tx)
            assert lanes.heads(tx, lines, at(9), 5) == []
    again.close()


def test_statements_are_split_at_semicolons_and_comments_go() -> None:
    assert migrate.statements("-- a; b\nCREATE TABLE a (b); -- c\n\nDROP TABLE a;\n") == [
        "CREATE TABLE a (b)",
        "DROP TABLE a",
    ]
