"""Asking the record, and telling it: again and again while it is away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec

from ..domain.errors import ObjectNotFound, RecordError, TooMuch
from ..protocol.launches import REPORT_LAUNCH, Event, Reported, ReportLaunch
from ..protocol.operation import Operation

R = TypeVar("R")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0


class Ask(Protocol):
    """How a worker asks the record: `connect.call`."""

    def __call__(self, operation: Operation[Any, R], argument: msgspec.Struct) -> R: ...


class GivenUp(Exception):
    """The worker ends, and the record could not be told."""


class Reporter:
    """Tells what becomes of launches, from any thread. `closed` ends all attempts."""

    def __init__(self, ask: Ask, worker: UUID, closed: threading.Event, say: Callable[[str], None]) -> None:
        self._ask = ask
        self._worker = worker
        self._closed = closed
        self._say = say
        self._away = False

    def tell(self, id: UUID, event: Event, **what: Any) -> Reported | None:
        """What the record says then; None where it knows no such launch. Waits while the record is away; raises
        `GivenUp` when the worker ends meanwhile."""
        told = ReportLaunch(id=id, worker=self._worker, event=event, **what)
        try:
            return self.until_answered(lambda: self._ask(REPORT_LAUNCH, told))
        except ObjectNotFound:
            return None

    def until_answered(self, question: Callable[[], R]) -> R:
        pause = FIRST_PAUSE
        while True:
            try:
                answer = question()
            except (RecordError, TooMuch) as error:
                if not self._away:
                    self._away = True
                    self._say(f"The record cannot be reached; what runs goes on, and is reported later. {error}")
                if self._closed.wait(pause):
                    raise GivenUp from error
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            if self._away:
                self._away = False
                self._say("The record is there again.")
            return answer
