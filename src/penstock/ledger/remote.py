"""The ledger of a served run: the record is a server's, reached over a network that is not always there.

Law: user code never waits for the network. Facts wait in memory, then on disk (`overflow`), and are shipped when the
server is there again, by this process or by a later one (`ship_left`). A question waits for a stated time; after that
the end of a run is decided here by the same rules, and reported; anything else is refused.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec

from ..domain.errors import (
    NotAllowed,
    NotSignedIn,
    PenstockError,
    RecordError,
    ServerRefusedError,
    ServerUnavailableError,
    TooLarge,
    TooMuch,
    VersionSkew,
)
from ..domain.logs import LogLine
from ..domain.masking import Masker
from ..domain.rules import Facts, Replace, Transition
from ..domain.runs import Holder
from ..domain.states import make
from ..domain.transition import Entered, decide
from ..protocol.deeds import CloseGone
from ..protocol.journal import Asked, Batch, answers_in, batch_of, encoded
from ..store import spool
from ..store.overflow import Overflow
from ..store.spool import Spool
from .contract import Begin, Enter, Fact, FindCached, Question, Reply, answer_to
from .heartbeat import Heartbeat
from .journal import FOR_EVER, Journal
from .masked import all_masked, masked

# Facts in one request: the largest batch of the journal fits.
MOST_FACTS = 2_000
BUSY_SECONDS = 5.0
# What is on disk is shipped and grows at once: for each batch that is shipped, so many facts may be added.
MOST_ADDED = MOST_FACTS // 2
# A server that has not answered for so long is away, as far as user code is concerned.
IMPATIENCE = 2.0

Post = Callable[[bytes], bytes]


class _Ship(msgspec.Struct, frozen=True):
    """Asked by the ledger of itself: what is on disk is shipped now."""


class RemoteLedger:
    """Facts and questions go to a server, by `post(body)`, which gives its answer's body; see `contract.Ledger`.

    `folder` is where facts are kept that the server does not have yet, `patience` for how many seconds questions wait
    while it is away. `heartbeat` keeps this process's lease and hears requests to stop. Other arguments are those of
    `LocalLedger`.
    """

    def __init__(
        self,
        post: Post,
        *,
        url: str,
        folder: Path,
        holder: Callable[[], Holder],
        heartbeat: Callable[[Callable[[], None]], Heartbeat],
        masker: Masker | None = None,
        may_be_killed: bool = False,
        interval: float = 0.01,
        limit: int = 20_000,
        patience: float = 300.0,
    ) -> None:
        self.url = url
        self._post = post
        self.folder = folder
        self._holder = holder
        self._masker = masker or Masker()
        self._may_be_killed = may_be_killed
        self._attending = 0
        self._away_since = 0.0
        self._lines_lost: Counter[UUID | None] = Counter()
        self._spool = Spool(folder, holder)
        self._overflow = Overflow(folder, holder)
        self._journal = Journal(
            self._record, interval=interval, limit=limit, patience=patience, impatience=IMPATIENCE, lost=self._lose,
            told=self._tell,
        )  # fmt: skip
        self._room = threading.Condition()
        self._shipping = False
        self._added = 0
        self._heartbeat = heartbeat(self._renew)
        _open.add(self)

    # --- the contract ------------------------------------------------------------------------------------------------

    def write(self, fact: Fact) -> None:
        """As in the contract; never waits for a server that is away."""
        fact = masked(self._masker, fact) if self._masker.active else fact
        if self._journal.is_full() and not self._overflow.active:
            self._overflow.begin()
            self._journal.ask_then(_Ship(), lambda answer, error: None, FOR_EVER)
        kept: bool | None = None
        if self._overflow.active:
            kept = self._overflow.add(fact)
        if kept is None:
            self._spool.add(fact)
            try:
                self._journal.write(fact)
            except RecordError:  # the journal has it; what follows goes to the disk
                pass
        elif not kept:
            self._refuse(fact)
        elif self._shipping:
            self._added += 1
            if self._added > MOST_ADDED:
                self._let_ship()

    def _let_ship(self) -> None:
        """Who reports faster than can be shipped waits, or what is on disk would have no end, and questions, which
        wait for it, no answer."""
        with self._room:
            while self._shipping and self._added > MOST_ADDED and not self._journal.is_stuck():
                self._room.wait(0.05)

    def _refuse(self, fact: Fact) -> None:
        """There is no room in memory nor on the disk."""
        if isinstance(fact, LogLine):
            self._lines_lost[fact.flow_run_id] += 1
        else:
            raise ServerUnavailableError(f"The server at {self.url} is away, and {self.folder} has no room for more.")

    def ask(self, question: Question) -> Any:
        return answer_to(self.ask_then, question)

    def ask_then(self, question: Question, reply: Reply) -> None:
        def answered(value: Any, error: BaseException | None) -> None:
            if isinstance(error, ServerUnavailableError):
                if isinstance(question, Enter):
                    value, error = self._decide_here(question), None
                elif isinstance(question, Begin):
                    self._give_up(question)
                elif isinstance(question, FindCached):  # what may be known there is found out here
                    value, error = None, None
            reply(value, error)

        self._journal.ask_then(Asked(uuid4().hex, question), answered)

    def attend(self) -> None:
        self._attending += 1
        self._heartbeat.begin()

    def leave(self) -> None:
        self._attending -= 1
        self._heartbeat.end()

    def close(self, patience: float = 10.0) -> int:
        """How many facts are neither with the server nor kept on disk. What is on disk, a later process ships."""
        self._heartbeat.close()
        left = self._journal.close(patience)
        kept = [self._spool.close(), self._overflow.close()]
        if any(kept):
            print(
                f"penstock: the server at {self.url} is away; what it has not been told yet is kept in {self.folder}, "
                "and the next program that reports to it ships it.",
                file=sys.__stderr__,
            )
            return 0
        return left

    @property
    def trouble(self) -> RecordError | None:
        return self._journal.trouble

    # --- recording ---------------------------------------------------------------------------------------------------

    def _record(self, facts: Sequence[Fact], asked: Sequence[Asked | _Ship]) -> list[Any]:
        """In the journal's thread. A batch is as large as the server takes."""
        questions = [Asked(each.key, self._counted(each.question)) for each in asked if isinstance(each, Asked)]
        facts = all_masked(self._masker, facts)
        # What is on disk came after all that waits in memory before it, and before what is asked now.
        if len(asked) != len(questions):
            if facts:
                self._send(facts, [])
            self._ship()
            answers = iter(self._send((), questions) if questions else ())
        else:
            answers = iter(self._send(facts, questions) if facts or questions else ())
        # Once, however often it took: what was recorded twice is one fact less to keep, not two.
        self._spool.recorded(len(facts))
        return [next(answers) if isinstance(each, Asked) else None for each in asked]

    def _counted(self, question: Question) -> Question:
        question = masked(self._masker, question)
        if not isinstance(question, Enter) or not self._lines_lost[question.run_id]:
            return question
        return msgspec.structs.replace(question, lines_lost=max(question.lines_lost, self._lines_lost[question.run_id]))

    def _ship(self) -> None:
        self._added, self._shipping = 0, True
        try:
            while facts := self._overflow.take(MOST_FACTS):
                self._send(facts, [])
                self._overflow.taken()
                self._journal.answered()
                with self._room:
                    self._added = 0
                    self._room.notify_all()
        finally:
            with self._room:
                self._shipping = False
                self._room.notify_all()

    def _send(self, facts: Sequence[Fact], questions: Sequence[Asked]) -> list[Any]:
        attending = self._attending > 0
        batch = batch_of(
            self._holder(), facts, questions, attending=attending, may_be_killed=attending and self._may_be_killed
        )
        try:
            answer = posted(self._post, batch)
        except TooLarge:
            if len(facts) < 2:
                raise
            half = len(facts) // 2
            self._send(facts[:half], [])
            return self._send(facts[half:], questions)
        self._heartbeat.renewed()
        return answers_in(answer, questions)

    def _renew(self) -> None:
        """Tells the server that this process lives; in a thread of the heartbeat's."""
        posted(self._post, batch_of(self._holder(), (), attending=True, may_be_killed=self._may_be_killed))
        self._heartbeat.renewed()

    def _decide_here(self, question: Enter) -> Entered:
        """The server has been away for longer than a question waits. The run's own code has done what it does: what
        becomes of it is decided by the same rules, and reported."""
        before = make("Running", question.state.timestamp)
        facts = msgspec.structs.replace(question.facts, epoch=question.facts.epoch_of_writer or 0)
        decision = decide(Transition(before, question.state), facts)
        state = decision.state if isinstance(decision, Replace) else question.state
        final = msgspec.structs.replace(facts, retry_wanted=False)
        self.write(msgspec.structs.replace(question, state=state, facts=final))
        return Entered("accepted" if state is question.state else "replaced", state, "the server is away")

    def _give_up(self, question: Begin) -> None:
        """Nobody knows whether the question has arrived, and only the answer was lost: then the record says that the
        run is running, and none of its code ever will be. (A record that has never heard of the run passes it over.)"""
        run, began = question.run, question.running.timestamp
        message = f"The server at {self.url} was away when the run was to begin; none of its code has run."
        facts = Facts(epoch_of_writer=run.epoch, retry_wanted=False)
        with contextlib.suppress(RecordError):
            self.write(Enter(run.id, make("Crashed", began, message=message), facts))

    def _lose(self, fact: Fact) -> None:
        self._spool.recorded(1)
        if isinstance(fact, LogLine):
            self._lines_lost[fact.flow_run_id] += 1

    def _tell(self, error: RecordError | None) -> None:
        now = time.monotonic()
        if error is not None:
            self._away_since = now
            print(f"penstock: {error} Runs go on; what they report is kept until it does.", file=sys.__stderr__)
        else:
            print(f"penstock: the server is there again, after {now - self._away_since:.0f} s.", file=sys.__stderr__)

    def forget(self) -> None:
        """In a forked child: the runs are the parent's, and so is what is on disk."""
        self._attending = 0
        self._room, self._shipping = threading.Condition(), False
        self._overflow.forget()


_open: weakref.WeakSet[RemoteLedger] = weakref.WeakSet()


def posted(post: Post, batch: Batch) -> bytes:
    """The answer's body. Raises `ServerUnavailableError`, `ServerRefusedError` or `TooLarge`."""
    body = encoded(batch)
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return post(body)
        except TooMuch as error:
            if time.monotonic() > until:
                raise ServerUnavailableError(f"{error} It has been too busy for {BUSY_SECONDS:g} s.") from None
            time.sleep(min(error.retry_after, 1.0))
        except (NotSignedIn, NotAllowed, VersionSkew) as error:
            raise ServerRefusedError(str(error)) from None


def ship_left(post: Post, folder: Path, lives: Callable[[Holder], bool | None], now: Callable[[], datetime]) -> int:
    """Ships what processes which are gone had kept for the server; how many facts. Raises `RecordError`, then what is
    left stays."""
    count = 0
    gone: dict[Holder, list[Path]] = {}
    for left in spool.left(folder):
        if left.holder in gone or lives(left.holder) is False:
            gone.setdefault(left.holder, []).append(left.path)
    for holder, paths in gone.items():
        count += _ship_of(post, holder, paths)
        # What is shipped may have opened runs again that were closed; that their process is gone is seen from here.
        posted(post, batch_of(holder, (), [Asked(uuid4().hex, CloseGone(holder, now()))]))
        for path in paths:
            with contextlib.suppress(OSError):  # somebody else did the same
                path.unlink()
    return count


def _post_in_pieces(post: Post, holder: Holder, facts: Sequence[Fact]) -> None:
    """What the server cannot record as it is stands in the way of nothing else that was left, now or later."""
    try:
        posted(post, batch_of(holder, facts))
    except RecordError:
        raise
    except PenstockError as error:
        if len(facts) < 2:
            print(f"penstock: a fact of a program that has ended could not be recorded: {error}", file=sys.__stderr__)
            return
        half = len(facts) // 2
        for piece in (facts[:half], facts[half:]):
            _post_in_pieces(post, holder, piece)


def _ship_of(post: Post, holder: Holder, paths: list[Path]) -> int:
    """Ships the files of one process: what flow runs entered comes behind all that was reported of them."""
    count = 0
    entered: list[Enter] = []
    for path in paths:
        facts = spool.facts_of(path)
        count += len(facts)
        entered.extend(fact for fact in facts if isinstance(fact, Enter))
        others = [fact for fact in facts if not isinstance(fact, Enter)]
        for start in range(0, len(others), MOST_FACTS):
            _post_in_pieces(post, holder, others[start : start + MOST_FACTS])
    entered.sort(key=lambda each: each.state.timestamp)
    for start in range(0, len(entered), MOST_FACTS):
        _post_in_pieces(post, holder, entered[start : start + MOST_FACTS])
    return count


def _forget() -> None:
    for ledger in list(_open):
        ledger.forget()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
