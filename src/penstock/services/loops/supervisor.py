"""Runs the loops while this process leads: of several that share a record, one does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from ...domain.errors import PenstockError
from ...store.contract import Lead
from ..desk import Desk
from . import Loop, rescuing

LEAD = "loops"
# How soon a server notices that nobody leads any more.
TRY_AGAIN = 2.0

_log = logging.getLogger("penstock.server")


class Meters(Protocol):
    """Who is told how the loops fare."""

    leading: bool

    def loop(self, name: str, ended: str, seconds: float) -> None: ...


class NoMeters:
    """Nobody asks."""

    leading = False

    def loop(self, name: str, ended: str, seconds: float) -> None:
        pass


class Supervisor:
    """One thread, from `start` to `stop`: loops are short, and none of them is in a hurry."""

    def __init__(self, desk: Desk, loops: Sequence[Loop], meters: Meters, lead: str = LEAD) -> None:
        self._desk = desk
        self._loops = loops
        self._name = lead
        self._meters = meters
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"penstock-{lead}", daemon=True)
        self._lead: Lead | None = None
        self._away = False

    def start(self) -> None:
        self._thread.start()

    def stop(self, patience: float) -> None:
        """Gives the lead back; returns when the loop that is running has ended, or after `patience` seconds."""
        self._stop.set()
        self._thread.join(patience)

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._lead = self._desk.store.try_lead(self._name)
                except PenstockError as error:
                    self._note_away(error)
                if self._lead is not None:
                    self._meters.leading = True
                    self._run_while_leading()
                    self._meters.leading = False
                    self._give_back()
                self._stop.wait(TRY_AGAIN)
        finally:
            self._give_back()

    def _run_while_leading(self) -> None:
        assert self._lead is not None
        # Before the first: for as long as nobody led, nobody was heard, perhaps.
        self._away = True
        due = dict.fromkeys(range(len(self._loops)), 0.0)
        while not self._stop.is_set() and self._lead.is_held():
            for place, loop in enumerate(self._loops):
                if time.monotonic() >= due[place] and not self._stop.is_set():
                    sooner = self._run(loop)
                    due[place] = time.monotonic() + (loop.seconds if sooner is None else sooner)
            self._stop.wait(max(0.0, min(min(due.values()) - time.monotonic(), 1.0)))

    def _run(self, loop: Loop) -> float | None:
        began = time.perf_counter()
        try:
            if self._away:
                rescuing.begin(self._desk)
                self._away = False
            sooner = loop.once(self._desk)
            self._meters.loop(loop.name, "ok", time.perf_counter() - began)
            return sooner
        except PenstockError as error:
            self._meters.loop(loop.name, "failed", time.perf_counter() - began)
            self._note_away(error)
        except Exception:
            self._meters.loop(loop.name, "failed", time.perf_counter() - began)
            _log.exception("the loop %s failed; it is run again", loop.name)
        return None

    def _note_away(self, error: PenstockError) -> None:
        if not self._away:
            _log.error("the loops wait for the record: %s", error)
        self._away = True

    def _give_back(self) -> None:
        lead, self._lead = self._lead, None
        if lead is not None:
            try:
                lead.close()
            except PenstockError as error:
                _log.warning("the lead could not be given back: %s", error)
