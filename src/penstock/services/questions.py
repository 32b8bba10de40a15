"""Answering what engines ask: each question in the transaction that records the facts before it."""

from __future__ import annotations

from typing import Any

from ..domain.errors import PenstockError
from ..domain.reopening import Reopened
from ..protocol.journal import (
    Begin,
    BeginPause,
    Cached,
    Enter,
    FindCached,
    Flush,
    Question,
    Recall,
    Reopen,
    Take,
    TakeAnswer,
)
from ..store import caches
from ..store.contract import Store, Tx
from . import enforcing, launching, orchestrate, pausing, reopening


def answer(tx: Tx, question: Question) -> Any:
    """An answer, or the error to be raised where it was asked. Services decide before they write, so an error has
    changed nothing. A `Reopened` is without its history: `told` adds it."""
    try:
        if isinstance(question, Begin):
            return orchestrate.begin(tx, question.run, question.running, question.arguments)
        if isinstance(question, Enter):
            return orchestrate.propose(tx, question)
        if isinstance(question, Take):
            return launching.take(tx, question.run_id, holder=question.holder, now=question.now)
        if isinstance(question, Recall):
            return reopening.recall(tx, question.run_id)
        if isinstance(question, Reopen):
            return reopening.reopen(
                tx,
                question.run_id,
                who=question.who,
                now=question.now,
                holder=question.holder,
                entrypoint=question.entrypoint,
            )
        if isinstance(question, BeginPause):
            return pausing.begin(tx, question)
        if isinstance(question, TakeAnswer):
            return pausing.take(tx, question)
        if isinstance(question, FindCached):
            found = caches.get(tx, question.key, question.now)
            return None if found is None else Cached(*found)
        return None if isinstance(question, Flush) else enforcing.do(tx, question)
    except PenstockError as error:
        return error


def told(store: Store, answer: Any) -> Any:
    """A `Reopened` with the run's history; reading it keeps no other process from writing. Anything else as it is."""
    if not isinstance(answer, Reopened):
        return answer
    try:
        with store.read() as tx:
            return reopening.with_history(tx, answer)
    except PenstockError as error:
        return error
