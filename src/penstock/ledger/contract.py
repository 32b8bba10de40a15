"""The door between an engine and the record.

**Facts** are reported and not waited for. **Questions** are asked, and the engine goes on with the answer. A question
is answered after all facts reported before it (by this process) are recorded; so asking is also the barrier that makes
the record true before the world changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from ..domain.stops import Signal
from ..protocol.journal import (
    Begin,
    BeginPause,
    Cached,
    Enter,
    Fact,
    FindCached,
    Flush,
    Question,
    Recall,
    Reopen,
    Take,
    TakeAnswer,
)

__all__ = [
    "Begin",
    "BeginPause",
    "Cached",
    "Enter",
    "Fact",
    "FindCached",
    "Flush",
    "Hear",
    "Ledger",
    "Question",
    "Recall",
    "Reopen",
    "Reply",
    "Take",
    "TakeAnswer",
    "answer_to",
]

Hear = Callable[[Signal], None]
Reply = Callable[[Any, BaseException | None], None]


def answer_to(ask_then: Callable[[Any, Reply], None], question: Any) -> Any:
    """Asks by `ask_then`, and waits for the answer; raises what went wrong."""
    answered = threading.Lock()
    answered.acquire()
    answer: Any = None
    failure: BaseException | None = None

    def reply(value: Any, error: BaseException | None) -> None:
        nonlocal answer, failure
        answer, failure = value, error
        answered.release()

    ask_then(question, reply)
    answered.acquire()
    if failure is not None:
        raise failure
    return answer


class Ledger(Protocol):
    """What an engine writes to and asks. Safe to use from several threads.

    Raises `RecordError` where the record cannot be used.
    """

    def write(self, fact: Fact) -> None:
        """Reports a fact. Returns at once, or, when too much is unrecorded, as soon as there is room."""

    def ask(self, question: Question) -> Any:
        """Asks, and waits for the answer; raises what went wrong."""

    def ask_then(self, question: Question, reply: Reply) -> None:
        """Asks, and has `reply(answer, error)` called, in another thread, when the answer is there."""

    def attend(self) -> None:
        """A run without a parent begins in this process: until `leave`, the process's lease is kept, and requests to
        stop runs are heard (how, the ledger was told when it was made)."""

    def leave(self) -> None:
        """A run without a parent has ended."""

    def close(self) -> int:
        """Records what is left and gives the record back; how many facts could not be recorded."""
