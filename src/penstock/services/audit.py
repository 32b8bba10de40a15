"""The audit log: who asked for what change, and what came of it.

Law: no change without its line. The line of a change is committed in the transaction of the change, the first one where
an operation has several; that of what was refused, or changed nothing, right after. What runs do by themselves (the
journal) has no lines: it is the record. A line says what was asked, never a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import msgspec

from ..domain.accounts import Asker
from ..domain.audit import DONE, AuditEntry, AuditFilter, harmless
from ..domain.errors import RecordError
from ..protocol.operation import Operation
from ..store import audit
from ..store.contract import Store, Tx
from .enclosing import EnclosingStore


def entry_of(asker: Asker, operation: Operation[Any, Any], argument: msgspec.Struct, now: datetime) -> AuditEntry:
    """The line of an operation that is done."""
    fields = {name: getattr(argument, name) for name in argument.__struct_fields__}
    objects = tuple(str(fields.pop(name))[:200] for name in operation.path_fields)
    return entry(asker, operation.name, now, objects=objects, arguments=harmless(fields))


def entry(asker: Asker, operation: str, now: datetime, outcome: str = DONE, **more: Any) -> AuditEntry:
    return AuditEntry(
        at=now, who=asker.who, role=asker.role.value, operation=operation, outcome=outcome, address=asker.address,
        agent=asker.agent, key=asker.key, **more,
    )  # fmt: skip


def note(store: Store, entry: AuditEntry) -> None:
    with store.write() as tx:
        audit.add(tx, entry)


def note_refusal(store: Store, entry: AuditEntry, code: str) -> None:
    """Where the record cannot be written, what was refused has no line: the refusal is what has to be told."""
    with suppress(RecordError):
        note(store, msgspec.structs.replace(entry, outcome=code))


def list_entries(store: Store, filter: AuditFilter, before: int | None, limit: int) -> list[AuditEntry]:
    """The newest first, those before the number `before`."""
    with store.read() as tx:
        return list(audit.select(tx, filter, before, limit))


def unaudited(store: Store) -> Store:
    """The same record, for what an operation writes before it is decided whether its change is made."""
    return store._store if isinstance(store, AuditedStore) else store


class AuditedStore(EnclosingStore):
    """The record as an operation that changes something is given it: its first transaction that writes also writes the
    operation's line. `noted` says whether one has."""

    def __init__(self, store: Store, entry: AuditEntry) -> None:
        super().__init__(store)
        self._entry = entry
        self.noted = False

    @contextmanager
    def write(self) -> Iterator[Tx]:
        with self._store.write() as tx:
            yield tx
            if not self.noted:
                audit.add(tx, self._entry)
        self.noted = True
