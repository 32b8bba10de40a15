"""Doing once what is asked twice: by the asker's key, in the transaction that does it.

Law: the key is taken in the very transaction that makes the first change, so nothing is ever done twice: whoever comes
second finds the key, or is undone. The answer is put to it afterwards; one that was never put there (the process died
in between) is not known, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from ..domain.errors import KeyReused
from ..store import answered
from ..store.answered import Given
from ..store.contract import Tx
from .desk import Desk
from .enclosing import EnclosingStore

__all__ = ["Given", "UnderWay", "once"]

# The status of a key whose answer is not there yet.
UNDER_WAY = 0


class UnderWay(Exception):
    """The same is being done by somebody else, or was, and its answer is not known (yet)."""


def once(desk: Desk, key: str, digest: bytes, work: Callable[[Desk], Given]) -> tuple[Given, bool]:
    """What `work(desk)` gives, or what it gave to the same key before; and whether that was so.

    `digest` is of all that was asked. What writes nothing, not even into the audit log, is not kept: it is done again.
    Raises `KeyReused`, `UnderWay`, and what `work` raises.
    """
    with desk.store.read() as tx:
        before = answered.get(tx, key)
    if before is not None:
        return _same(before, digest), True
    store = _MarkedStore(desk, key, digest)
    try:
        given = work(msgspec.structs.replace(desk, store=store))
    except _Taken as taken:
        return _same(taken.given, digest), True
    except BaseException:
        # What failed is no answer: it may be asked again. (An operation that fails has changed nothing, or does in
        # pieces what may be done twice.)
        if store.marked:
            with desk.store.write() as tx:
                answered.forget(tx, key)
        raise
    if store.marked:
        with desk.store.write() as tx:
            answered.fill(tx, key, given)
    return given, False


def _same(given: Given, digest: bytes) -> Given:
    if given.digest != digest:
        raise KeyReused(
            "This Idempotency-Key was sent with another request before; every request has a key of its own."
        )
    if given.status == UNDER_WAY:
        raise UnderWay
    return given


class _Taken(Exception):
    def __init__(self, given: Given) -> None:
        self.given = given


class _MarkedStore(EnclosingStore):
    """A store whose first transaction that writes takes the key as well."""

    def __init__(self, desk: Desk, key: str, digest: bytes) -> None:
        super().__init__(desk.store)
        self._now = desk.now
        self._key = key
        self._digest = digest
        self.marked = False

    @contextmanager
    def write(self) -> Iterator[Tx]:
        with self._store.write() as tx:
            mark = not self.marked
            if mark:
                before = answered.get(tx, self._key)
                if before is not None:
                    raise _Taken(before)
                answered.put(tx, self._key, Given(self._digest, UNDER_WAY, b""), self._now())
            yield tx
        self.marked = True
