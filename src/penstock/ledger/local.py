"""The ledger of an embedded run: the record is a store opened in this process."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ..domain.errors import PenstockError, RecordError
from ..domain.logs import LogLine
from ..domain.masking import Masker
from ..domain.runs import Holder
from ..domain.stops import Signal
from ..services import ingest, questions
from ..store import holders
from ..store.spool import Spool
from ..store.sqlite import SqliteStore
from .attendance import Attendance
from .contract import Enter, Fact, Question, Reply
from .journal import Journal
from .masked import all_masked, masked


class LocalLedger:
    """Facts and questions go to `store`, through a journal; see `contract.Ledger`.

    `holder()` is this process, `now()` the moment, `hear(signal)` is told of requests to stop runs, in a thread of the
    ledger's; `may_be_killed` says that this process may be ended when a run in it does not stop. What `masker` knows
    is not in what is recorded.
    """

    def __init__(
        self,
        store: SqliteStore,
        *,
        holder: Callable[[], Holder],
        now: Callable[[], datetime],
        hear: Callable[[Signal], None],
        masker: Masker | None = None,
        may_be_killed: bool = False,
        interval: float = 0.01,
        limit: int = 20_000,
    ) -> None:
        self.store = store
        self._holder = holder
        self._masker = masker or Masker()
        self._attendance = Attendance(store, holder, now, hear, may_be_killed)
        self._lease_wanted = False
        self._spool = Spool(store.spool_folder, holder)
        self._lines_lost: Counter[UUID | None] = Counter()
        self._journal = Journal(self._record, interval=interval, limit=limit, lost=self._lose)
        self.ask = self._journal.ask

    def write(self, fact: Fact) -> None:
        """As in the contract, but that no line is a reason to stop code which prints: what has no room is counted."""
        kept = self._spool.add(masked(self._masker, fact) if self._masker.active else fact)
        journal = self._journal
        if type(fact) is not LogLine:
            journal.write(fact)
        elif not journal.is_full():
            try:
                journal.write(fact)
            except RecordError:  # the journal has it
                pass
        elif not kept:
            self._lines_lost[fact.flow_run_id] += 1

    def _lose(self, fact: Fact) -> None:
        self._spool.recorded(1)
        if type(fact) is LogLine:
            self._lines_lost[fact.flow_run_id] += 1

    def ask_then(self, question: Question, reply: Reply) -> None:
        self._journal.ask_then(question, reply)

    def attend(self) -> None:
        if self._attendance.begin():
            self._lease_wanted = True  # with the next batch, which is at the latest the one that begins the run

    def leave(self) -> None:
        self._attendance.end()

    def close(self) -> int:
        """How many facts could not be recorded."""
        self._attendance.close()
        left = self._journal.close()
        self._spool.close()
        if self._attendance.leased:
            with contextlib.suppress(PenstockError), self.store.write() as tx:
                holders.delete(tx, self._holder())
        self.store.close()
        return left

    @property
    def trouble(self) -> PenstockError | None:
        return self._journal.trouble

    def _record(self, facts: Sequence[Fact], asked: Sequence[Question]) -> list[Any]:
        facts, asked = all_masked(self._masker, facts), all_masked(self._masker, asked)
        with self.store.write() as tx:
            if self._lease_wanted:
                self._attendance.renew(tx)
                self._lease_wanted = False
            ingest.apply(tx, facts)
            answers = [questions.answer(tx, self._counted(question)) for question in asked]
        if facts:
            self._spool.recorded(len(facts))
        return [questions.told(self.store, answer) for answer in answers]

    def _counted(self, question: Question) -> Question:
        """With the lines that found no room."""
        if not isinstance(question, Enter) or not self._lines_lost[question.run_id]:
            return question
        lost = max(question.lines_lost, self._lines_lost[question.run_id])
        return msgspec.structs.replace(question, lines_lost=lost)
