"""SQL of variables."""

from __future__ import annotations

from collections.abc import Iterator

from ..domain.variables import VariableRecord, decoded
from . import codec
from .contract import Row, Tx

_COLUMNS = "name, value, tags, created, updated"


def get(tx: Tx, name: str) -> VariableRecord | None:
    row = tx.row(f"SELECT {_COLUMNS} FROM variable WHERE name = ?", (name,))
    return None if row is None else _variable(row)


def select(tx: Tx, limit: int, after: str | None = None) -> Iterator[VariableRecord]:
    """By name; those behind the name `after`."""
    sql = f"SELECT {_COLUMNS} FROM variable WHERE name > ? ORDER BY name LIMIT ?"
    return map(_variable, tx.rows(sql, (after or "", limit)))


def count(tx: Tx) -> int:
    row = tx.row("SELECT count(*) FROM variable")
    return 0 if row is None else int(row[0])


def names(tx: Tx) -> list[str]:
    return [str(name) for (name,) in tx.rows("SELECT name FROM variable ORDER BY name")]


def put(tx: Tx, variable: VariableRecord, value: str) -> None:
    """Records it, in place of one with this name; `value` is its value as JSON text."""
    tx.run(
        f"""INSERT INTO variable ({_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
        value = excluded.value, tags = excluded.tags, updated = excluded.updated""",
        (
            variable.name,
            value,
            codec.text(variable.tags),
            codec.micros(variable.created),
            codec.micros(variable.updated),
        ),
    )


def delete(tx: Tx, name: str) -> bool:
    """Whether there was one."""
    return tx.run("DELETE FROM variable WHERE name = ?", (name,)) > 0


def _variable(row: Row) -> VariableRecord:
    name, value, tags, created, updated = row
    return VariableRecord(
        name, decoded(value), tuple(codec.untext(tags, [])), codec.exact_moment(created), codec.exact_moment(updated)
    )
