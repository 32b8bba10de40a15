"""States that runs have entered, for whoever counts them: only what is committed counts.

Law: where nobody counts (in every process but a server), noting costs no more than a look.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Protocol

from ..domain.runs import TaskRun
from ..domain.states import StateType
from ..store.contract import Store, Tx
from .enclosing import EnclosingStore

# The kind of run ("flow", "task"), and the type of state that it has entered.
Entry = tuple[str, StateType]


class _Here(threading.local):
    noted: list[Entry] | None = None


_here = _Here()


def entered(type_: StateType) -> None:
    """A flow run has entered a state, in the transaction at hand."""
    if _here.noted is not None:
        _here.noted.append(("flow", type_))


def reported(runs: list[TaskRun]) -> None:
    """These task runs are reported, in the transaction at hand."""
    if _here.noted is not None:
        _here.noted.extend(("task", run.state.type) for run in runs if run.state.is_final())


class Counting(Protocol):
    """Who counts."""

    def transaction(self, kind: str, waited: float, seconds: float) -> None:
        """One that reads or writes (`kind`) was begun after `waited` seconds, and took so many in all."""

    def entered(self, entries: list[Entry]) -> None:
        """States were entered."""


class CountedStore(EnclosingStore):
    """The record of a server, which counts its transactions and what they change."""

    def __init__(self, store: Store, counting: Counting) -> None:
        super().__init__(store)
        self._counting = counting

    @contextmanager
    def write(self) -> Iterator[Tx]:
        noted: list[Entry] = []
        before = _here.noted
        _here.noted = noted
        try:
            with _timed("write", self._store.write, self._counting) as tx:
                yield tx
        finally:
            _here.noted = before
        if noted:
            self._counting.entered(noted)

    @contextmanager
    def read(self) -> Iterator[Tx]:
        with _timed("read", self._store.read, self._counting) as tx:
            yield tx


@contextmanager
def _timed(kind: str, begin: Callable[[], object], counting: Counting) -> Iterator[Tx]:
    asked = began = perf_counter()
    try:
        with begin() as tx:  # type: ignore[attr-defined]
            began = perf_counter()
            yield tx
    finally:
        counting.transaction(kind, began - asked, perf_counter() - asked)
