"""An address says which database a record is in; one that cannot be used is told in a sentence, without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.domain.errors import ConfigurationError
from penstock.store import migrate
from penstock.store.opening import is_postgres, open_store
from penstock.store.sqlite import SqliteStore


def opened(address: str | Path, tmp_path: Path, **options: bool) -> object:
    store = open_store(address, spool_folder=tmp_path / "spool", **options)
    store.close()
    return store


@pytest.mark.parametrize("scheme", ["sqlite", "SQLite", "sqlite+aiosqlite"])
def test_a_file_is_named_by_a_url(scheme: str, tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "penstock.db"
    store = opened(f"{scheme}:///{str(path).replace(' ', '%20')}?timeout=60", tmp_path)
    assert isinstance(store, SqliteStore)
    assert store.path == path
    assert path.exists()


def test_a_file_is_named_by_its_path(tmp_path: Path) -> None:
    store = opened(tmp_path / "penstock.db", tmp_path)
    assert isinstance(store, SqliteStore)
    assert str(store) == str(tmp_path / "penstock.db")


def test_a_relative_file_is_in_the_folder_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened("sqlite:///here.db", tmp_path)
    assert (tmp_path / "here.db").exists()


@pytest.mark.postgres
@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg", "POSTGRESQL"])
def test_a_server_is_named_by_a_url_with_any_driver(scheme: str, postgres_url: str, tmp_path: Path) -> None:
    address = postgres_url.replace("postgresql", scheme, 1)
    store = opened(address, tmp_path)
    assert is_postgres(address)
    assert "pass" not in str(store)
    assert postgres_url.rpartition("/")[2] in str(store)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("penstock.db", "is not a URL"),
        ("mysql://me:secret@host/db", "'mysql'"),
        ("sqlite://", "in a file"),
        ("sqlite:///:memory:", "in a file"),
        ("sqlite://host/penstock.db", "four slashes"),
        ("sqlite:///a%00b", "in a file"),
        ("postgresql://me:sec@ret@host/db", "%40"),
        ("secret", "is not a URL"),
    ],
)
def test_an_address_that_cannot_be_used_is_not_repeated(address: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        opened(address, tmp_path)
    assert said in str(raised.value)
    assert "sec" not in str(raised.value)


def test_what_an_upgrade_would_do_is_known_before(database: str, tmp_path: Path) -> None:
    """A database that lacks the newest script is opened as it is, says what it lacks, and is upgraded when asked."""
    newest = migrate.scripts()[-1]
    opened(database, tmp_path)
    store = open_store(database, spool_folder=tmp_path / "spool")
    with store.read() as tx:
        assert migrate.pending(tx, store.dialect) == []
    with store.write() as tx:
        tx.run("DELETE FROM penstock_schema WHERE version = ?", (newest[0],))
    store.close()
    store = open_store(database, spool_folder=tmp_path / "spool", upgrade=False)
    with store.read() as tx:
        (pending,) = migrate.pending(tx, store.dialect)
        assert migrate.current(tx, store.dialect) == newest[0] - 1
    store.close()
    assert (pending.number, pending.name) == newest[:2]
    assert pending.statements == tuple(migrate.statements(migrate.in_dialect(newest[2], store.dialect)))
    assert all("--" not in statement for statement in pending.statements)


def test_a_script_is_in_the_databases_own_words() -> None:
    script = "CREATE TABLE a (n /*sqlite INTEGER PRIMARY KEY*/ /*postgres BIGSERIAL PRIMARY KEY*/, b TEXT NOT NULL);"
    assert migrate.statements(migrate.in_dialect(script, "sqlite")) == [
        "CREATE TABLE a (n INTEGER PRIMARY KEY , b TEXT NOT NULL)"
    ]
    assert migrate.statements(migrate.in_dialect(script, "postgres")) == [
        'CREATE TABLE a (n  BIGSERIAL PRIMARY KEY, b TEXT COLLATE "C" NOT NULL)'
    ]
