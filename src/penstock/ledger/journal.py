"""The journal: facts wait in memory for a few milliseconds and are then recorded together, in their order.

Law: one thread writes. User code may be interrupted anywhere, by a signal or a thrown exception; a transaction may
not, so it never runs in a user's thread. The journal is bounded: who reports faster than can be recorded waits.
Nothing is dropped: while the record cannot be written, facts stay here and are tried again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ..domain.errors import RecordError, ServerRefusedError, StoreUnavailableError
from . import turns
from .contract import Fact, Reply, answer_to

# (Questions are what `ask_then` was given.)
Record = Callable[[Sequence[Fact], Sequence[Any]], list[Any]]

LARGEST_BATCH = 2000
# A fact is in the record within 0.1 s: who reports so many that they are not gets to wait, before there are too many.
MANY = 500
LATE_SECONDS = 0.04
RETRY_SECONDS = 0.25
FOR_EVER = float("inf")
# A record that goes away while a journal is closed, because a connection broke perhaps, is tried for so long.
LAST_SECONDS = 1.0


_open: weakref.WeakSet[Journal] = weakref.WeakSet()


class _Asked:
    """A question on its way, in its place among the facts."""

    __slots__ = ("_reply", "patient_until", "question")

    def __init__(self, question: Any, reply: Reply, patient_until: float) -> None:
        self.question = question
        self.patient_until = patient_until
        self._reply = reply

    def gives_up(self, now: float, hopeless: bool) -> bool:
        """Whether it has waited for long enough; what waits for ever does so also when there is no hope."""
        return self.patient_until <= now or (hopeless and self.patient_until < FOR_EVER)

    def tell(self, answer: Any) -> None:
        """Hands over an answer, or an exception. That nobody takes it any more is not the journal's trouble."""
        failed = isinstance(answer, BaseException)
        try:
            self._reply(None if failed else answer, answer if failed else None)
        except Exception as error:
            print(f"penstock: an answer could not be delivered: {error!r}", file=sys.__stderr__)


class Journal:
    """`record(facts, questions)` is one transaction: it records the facts and gives the answers (an exception
    instance for a question that failed by itself). It is called in the journal's own thread only.

    `interval` is how many seconds facts may wait for company, `limit` how many may wait at all. `patience` is for how
    many seconds questions wait while nothing can be recorded, `impatience` for how many at most who reports waits for a
    record that says neither yes nor no. `lost` is told of a fact that cannot be recorded as it
    is; `told` says on the terminal that nothing can be recorded, and that it can again.
    """

    def __init__(
        self,
        record: Record,
        *,
        interval: float = 0.01,
        limit: int = 20_000,
        patience: float = 0.0,
        impatience: float = FOR_EVER,
        lost: Callable[[Fact], None] | None = None,
        told: Callable[[RecordError | None], None] | None = None,
    ) -> None:
        self._record = record
        self._patience = patience
        self._impatience = impatience
        self._tell = told or _tell
        self._told_of_lost = lost
        self._interval = interval
        self._limit = limit
        self._many = min(MANY, limit)
        self._closing = False
        self._begin()
        _open.add(self)

    def _begin(self) -> None:
        self._entries: deque[Any] = deque()
        self._bell = threading.Event()
        self._hurry = threading.Event()
        self._room = threading.Condition()
        self._rung = False
        self._trouble: RecordError | None = None
        # since when the record has been at work on a batch
        self._asking_since = FOR_EVER
        self._lost = 0
        self._trying_until = 0.0
        # no entry came before this moment; and the moment that it will be when what was taken is recorded
        self._since = self._emptied_at = time.monotonic()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def forget(self) -> None:
        """In a forked child: what waits here is the parent's to record, and its thread is not in this process."""
        self._begin()

    def _start(self) -> None:
        with self._starting:
            # (A thread that is started while Python ends would be waited for without end.)
            if self._thread is None and not sys.is_finalizing():
                self._thread = threading.Thread(target=self._work, name="penstock-journal", daemon=True)
                self._thread.start()

    def write(self, fact: Fact) -> None:
        """Takes a fact; waits while there is no room. Raises the `RecordError` that keeps the record from taking it."""
        entries = self._entries
        entries.append(fact)
        # The flag is cleared before the queue is emptied, and read after it was filled: no fact is left unannounced.
        if not self._rung:
            self._rung = True
            if len(entries) == 1:
                self._since = time.monotonic()
            if self._thread is None:
                self._start()
            self._bell.set()
        if len(entries) > self._many and (len(entries) > self._limit or time.monotonic() - self._since > LATE_SECONDS):
            self._wait_for_room()

    def ask_then(self, question: Any, reply: Reply, patience: float | None = None) -> None:
        """Queues a question behind all facts before it, and has it answered without delay; `patience` is its own."""
        if self._closing:
            raise StoreUnavailableError("The record was closed.")
        until = time.monotonic() + (self._patience if patience is None else patience)
        self._entries.append(_Asked(question, reply, until))
        self._rung = True
        if self._thread is None:
            self._start()
        self._hurry.set()
        self._bell.set()

    def ask(self, question: Any) -> Any:
        return answer_to(self.ask_then, question)

    def close(self, patience: float = 10.0) -> int:
        """Records what is left; how many facts could not be. The thread ends."""
        first, self._closing = not self._closing, True
        if first and self._thread is not None and self._thread.is_alive():
            if self._trouble is None:
                self._trying_until = time.monotonic() + min(patience / 2, LAST_SECONDS)
            self._hurry.set()
            self._bell.set()
            self._thread.join(patience)
        return len(self._entries) + self._lost

    @property
    def trouble(self) -> RecordError | None:
        """Why nothing can be recorded at the moment."""
        return self._trouble

    def is_full(self) -> bool:
        """Whether nothing can be recorded at the moment and there is no room for more."""
        return len(self._entries) > self._limit and (self._trouble is not None or self.is_stuck())

    def is_stuck(self) -> bool:
        """Whether the record is there and does not answer: its process is stopped, or the network swallows all."""
        return time.monotonic() - self._asking_since > self._impatience

    def is_asked(self) -> bool:
        """Whether a question is on its way, or its answer."""
        return self._asking_since != FOR_EVER or any(type(entry) is _Asked for entry in list(self._entries))

    def answered(self) -> None:
        """In the midst of `record`: it takes long, but goes on."""
        self._asking_since = time.monotonic()

    def _wait_for_room(self) -> None:
        """Until there are few, or they are recorded in time again."""
        with self._room:
            while (waiting := len(self._entries)) > self._many:
                full = waiting > self._limit
                if self._trouble is not None:
                    if full:
                        raise self._trouble
                    return
                if self.is_stuck():
                    return
                if not full and time.monotonic() - self._since <= LATE_SECONDS:
                    return
                self._hurry.set()
                self._bell.set()  # again: whoever should have rung it may have been interrupted in between
                self._room.wait(0.05)

    def _work(self) -> None:
        while True:
            self._bell.wait()
            if not self._closing:
                self._hurry.wait(self._interval)
            self._bell.clear()
            self._hurry.clear()
            self._rung = False
            # Each statement of the record gives the interpreter's lock away, and must win it back.
            with turns.short():
                while self._entries:
                    batch = self._take()
                    self._asking_since = time.monotonic()
                    recorded = self._commit(batch)
                    self._asking_since = FOR_EVER
                    if not recorded and self._closing and time.monotonic() >= self._trying_until:
                        return
            if self._closing and not self._entries:  # what came in between is announced by the bell, and taken next
                return

    def _take(self) -> list[Any]:
        """The oldest entries; they leave the queue only when they are recorded."""
        entries = self._entries
        self._emptied_at = time.monotonic()
        count = len(entries)
        if count > LARGEST_BATCH:
            count, self._emptied_at = LARGEST_BATCH, self._since
        return [entries[place] for place in range(count)]

    def _commit(self, batch: list[Any]) -> bool:
        facts = [entry for entry in batch if type(entry) is not _Asked]
        asked = [entry for entry in batch if type(entry) is _Asked]
        try:
            answers = self._record(facts, [entry.question for entry in asked])
        except RecordError as error:
            self._fail(error)
            return False
        except Exception:
            return self._commit_in_pieces(facts, asked, len(batch))
        if self._trouble is not None:
            self._trouble = None
            self._tell(None)
        self._done(len(batch))
        for entry, answer in zip(asked, answers, strict=True):
            entry.tell(answer)
        return True

    def _done(self, count: int) -> None:
        for _ in range(count):
            self._entries.popleft()
        self._since = self._emptied_at
        with self._room:
            self._room.notify_all()

    def _fail(self, error: RecordError) -> None:
        """The record cannot be written: who has asked for long enough is told, facts stay, and it is tried again
        soon."""
        if self._trouble is None:
            self._tell(error)
        self._trouble = error
        now = time.monotonic()
        # Only this thread removes entries; what is appended meanwhile stays behind them.
        taken = [self._entries.popleft() for _ in range(len(self._entries))]
        refused = isinstance(error, ServerRefusedError)
        hopeless = refused or (self._closing and now >= self._trying_until)  # to wait would change nothing
        if refused:
            self._trying_until = 0.0
        given_up = [each for each in taken if type(each) is _Asked and each.gives_up(now, hopeless)]
        out = set(map(id, given_up))
        self._entries.extendleft(each for each in reversed(taken) if id(each) not in out)
        with self._room:
            self._room.notify_all()
        for entry in given_up:
            entry.tell(error)
        time.sleep(RETRY_SECONDS)

    def _commit_in_pieces(self, facts: list[Fact], asked: list[_Asked], count: int) -> bool:
        """One fact cannot be written as it is (a fault of ours): the others must not be lost for it, nor for a record
        that goes away meanwhile. `count` entries were taken."""
        done = [0, 0]
        try:
            self._record_in_pieces(facts, done)
            for entry in asked:
                try:
                    (answer,) = self._record([], [entry.question])
                except RecordError:
                    raise
                except Exception as cause:
                    answer = cause
                entry.tell(answer)
                done[1] += 1
        except RecordError as error:
            for _ in range(count):
                self._entries.popleft()
            self._entries.extendleft(reversed([*facts[done[0] :], *asked[done[1] :]]))
            self._fail(error)
            return False
        self._done(count)
        return True

    def _record_in_pieces(self, facts: list[Fact], done: list[int]) -> None:
        if not facts:
            return
        try:
            self._record(facts, [])
        except RecordError:
            raise
        except Exception as cause:
            if len(facts) > 1:
                half = len(facts) // 2
                self._record_in_pieces(facts[:half], done)
                self._record_in_pieces(facts[half:], done)
                return
            self._lost += 1
            if self._told_of_lost is not None:
                self._told_of_lost(facts[0])
            print(f"penstock: a fact could not be recorded: {cause!r}", file=sys.__stderr__)
        done[0] += len(facts)


def _tell(error: RecordError | None) -> None:
    """(That it can be recorded again is good news, and no news.)"""
    if error is not None:
        print(f"penstock: nothing can be recorded at the moment: {error}", file=sys.__stderr__)


def are_asked() -> bool:
    """Whether a question is on its way, in any journal of the process."""
    while True:
        try:
            return any(journal.is_asked() for journal in list(_open))
        except RuntimeError:  # one was opened meanwhile, or a question came
            continue


def _forget() -> None:
    for journal in list(_open):
        journal.forget()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
