"""A store around another: the same record, in which a transaction that writes does something more."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from ..store.contract import Lead, Store, Tx


class EnclosingStore:
    """All that `store` does, as it does it: a subclass has its own `write`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def dialect(self) -> str:
        return self._store.dialect

    @property
    def spool_folder(self) -> Path | None:
        return self._store.spool_folder

    def write(self) -> AbstractContextManager[Tx]:
        return self._store.write()

    def read(self) -> AbstractContextManager[Tx]:
        return self._store.read()

    def changes(self) -> int:
        return self._store.changes()

    def wait_for_change(self, seen: int, timeout: float) -> int:
        return self._store.wait_for_change(seen, timeout)

    def try_lead(self, name: str) -> Lead | None:
        return self._store.try_lead(name)

    def give_back(self, pages: int) -> int:
        return self._store.give_back(pages)

    def close(self) -> None:
        self._store.close()

    def __str__(self) -> str:
        return str(self._store)
