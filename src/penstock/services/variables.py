"""Variables: setting, getting, listing and unsetting them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ..domain import names
from ..domain.errors import NameTaken, ObjectNotFound
from ..domain.variables import VariableRecord, checked_tags, encoded
from ..store import variables
from ..store.contract import Store, Tx


def save(
    store: Store, name: str, value: object, tags: Iterable[str] | None, *, overwrite: bool, now: datetime
) -> VariableRecord:
    """Sets a variable, new or, with `overwrite`, one that is there. Its tags are those given, none if None.

    Raises `InvalidName`, `NameTaken` or `UnstorableValue`.
    """
    names.check(name, names.VARIABLE)
    text = encoded(name, value)
    kept = checked_tags(tags)
    with store.write() as tx:
        there = variables.get(tx, name)
        if there is not None and not overwrite:
            raise NameTaken(f"Variable {name!r} already exists; overwrite=True (`--overwrite`) replaces it.")
        variable = VariableRecord(name, value, kept, there.created if there else now, now)
        variables.put(tx, variable, text)
    return variable


def find(store: Store, name: str) -> VariableRecord | None:
    """None when it is not set. Raises `InvalidName`."""
    names.check(name, names.VARIABLE)
    with store.read() as tx:
        return variables.get(tx, name)


def get(store: Store, name: str) -> VariableRecord:
    """Raises `ObjectNotFound`, with names that are near, or `InvalidName`."""
    found = find(store, name)
    if found is None:
        with store.read() as tx:
            raise _not_found(tx, name)
    return found


def list_variables(store: Store, limit: int, *, after: str | None = None) -> list[VariableRecord]:
    """By name; those that come after a name."""
    with store.read() as tx:
        return list(variables.select(tx, limit, after))


def count(store: Store) -> int:
    with store.read() as tx:
        return variables.count(tx)


def unset(store: Store, name: str) -> bool:
    """Whether it was set. Raises `InvalidName`."""
    names.check(name, names.VARIABLE)
    with store.write() as tx:
        return variables.delete(tx, name)


def _not_found(tx: Tx, name: str) -> ObjectNotFound:
    return ObjectNotFound(f"Variable {name!r} not found!{names.suggestion(name, variables.names(tx))}")
