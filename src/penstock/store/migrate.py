"""Brings a database to the schema this version knows: numbered scripts, each in one transaction, none twice."""

from __future__ import annotations

import re

import msgspec

from ..domain.errors import SchemaVersionError
from .contract import Tx

_VERSIONS = """CREATE TABLE IF NOT EXISTS penstock_schema (
    version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied BIGINT NOT NULL)"""

_TEXT = re.compile(r"\bTEXT\b")
_DIALECT = re.compile(r"/\*(sqlite|postgres) (.*?)\*/", re.DOTALL)

# The newest script's number; a test holds it to the folder. Known without a look at the folder, which costs more than
# opening the database.
NEWEST = 20


def scripts() -> list[tuple[int, str, str]]:
    """(number, name, SQL) in order."""
    from importlib.resources import files

    found = [entry for entry in files(__package__).joinpath("migrations").iterdir() if entry.name.endswith(".sql")]
    found.sort(key=lambda each: each.name)
    return [(int(each.name[:4]), each.name, each.read_text("utf-8")) for each in found]


def in_dialect(sql: str, dialect: str) -> str:
    """A script without what is for other databases only: `/*sqlite … */`, `/*postgres … */`.

    Text is compared byte by byte and has case in ASCII only, as SQLite has it, whatever the database was made for:
    what is asked has one answer everywhere, and an index on text is quick.
    """
    sql = _DIALECT.sub(lambda found: found[2] if found[1] == dialect else "", sql)
    return _TEXT.sub('TEXT COLLATE "C"', sql) if dialect == "postgres" else sql


def statements(sql: str) -> list[str]:
    """A script's statements; comments go, and no statement of ours holds a semicolon in a text."""
    lines = [line.split("--", 1)[0] for line in sql.splitlines()]
    return [each.strip() for each in "\n".join(lines).split(";") if each.strip()]


_HAS_VERSIONS = {
    "sqlite": "SELECT 1 FROM sqlite_schema WHERE name = 'penstock_schema'",
    "postgres": "SELECT 1 WHERE to_regclass('penstock_schema') IS NOT NULL",
}


def current(tx: Tx, dialect: str) -> int:
    """The number of the last script that was applied; 0 for an empty database."""
    if tx.row(_HAS_VERSIONS[dialect]) is None:
        return 0
    row = tx.row("SELECT max(version) FROM penstock_schema")
    return 0 if row is None or row[0] is None else int(row[0])


def check(version: int, where: str) -> None:
    """Refuses a record from the future: raises `SchemaVersionError`."""
    if version > NEWEST:
        raise SchemaVersionError(
            f"The record {where} was written by a newer Penstock (its schema is {version}, this version knows "
            f"{NEWEST}). Upgrade penstock, or use another record. Nothing was changed."
        )


class Script(msgspec.Struct, frozen=True):
    """A script that a database lacks, and what it does there."""

    number: int
    name: str
    statements: tuple[str, ...]


def pending(tx: Tx, dialect: str) -> list[Script]:
    """What `upgrade` would do; nothing is changed."""
    have = current(tx, dialect)
    return [
        Script(number, name, tuple(statements(in_dialect(sql, dialect))))
        for number, name, sql in scripts()
        if number > have
    ]


def upgrade(tx: Tx, now: int, dialect: str) -> None:
    """Applies what is missing, in the transaction given; `now` in microseconds is noted beside each script."""
    tx.run(in_dialect(_VERSIONS, dialect))
    for script in pending(tx, dialect):
        for statement in script.statements:
            tx.run(statement)
        tx.run(
            "INSERT INTO penstock_schema (version, name, applied) VALUES (?, ?, ?)", (script.number, script.name, now)
        )
