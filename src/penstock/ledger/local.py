"""The ledger of an embedded run: the record is a store opened in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..domain.errors import PenstockError
from ..services import ingest, orchestrate
from ..store import caches
from ..store.contract import Tx
from ..store.sqlite import SqliteStore
from .contract import Begin, Cached, Enter, Fact, FindCached, Question, Reply
from .journal import Journal


class LocalLedger:
    """Facts and questions go to `store`, through a journal; see `contract.Ledger`."""

    def __init__(self, store: SqliteStore, *, interval: float = 0.01, limit: int = 20_000) -> None:
        self.store = store
        self._journal = Journal(self._record, interval=interval, limit=limit)
        self.write = self._journal.write
        self.ask = self._journal.ask

    def ask_then(self, question: Question, reply: Reply) -> None:
        self._journal.ask_then(question, reply)

    def close(self) -> int:
        """How many facts could not be recorded."""
        left = self._journal.close()
        self.store.close()
        return left

    @property
    def trouble(self) -> PenstockError | None:
        return self._journal.trouble

    def _record(self, facts: Sequence[Fact], questions: Sequence[Question]) -> list[Any]:
        with self.store.write() as tx:
            ingest.apply(tx, facts)
            return [_answer(tx, question) for question in questions]


def _answer(tx: Tx, question: Question) -> Any:
    """An answer, or the error to be raised where it was asked. Services decide before they write, so an error has
    changed nothing."""
    try:
        if isinstance(question, Begin):
            return orchestrate.begin(tx, question.run, question.running)
        if isinstance(question, Enter):
            return orchestrate.enter(
                tx,
                question.run_id,
                question.state,
                question.facts,
                run_count=question.run_count,
                result=question.result,
                deadline=question.deadline,
                lines_lost=question.lines_lost,
            )
        if isinstance(question, FindCached):
            found = caches.get(tx, question.key, question.now)
            return None if found is None else Cached(*found)
        return None
    except PenstockError as error:
        return error
