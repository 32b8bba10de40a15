"""Where a record's operations are answered, in whichever process that is: with a store, a clock, and who asks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from ..domain.accounts import ADMIN, Asker, Role
from ..domain.errors import PenstockError
from ..domain.retention import Ages
from ..domain.runs import Holder
from ..protocol.admin import ShownSetting
from ..protocol.operation import Operation, Unchanged
from ..protocol.problems import status_of
from ..store.contract import Store
from ..vault import Vault
from . import audit

A = TypeVar("A", bound=msgspec.Struct)
R = TypeVar("R")
Handler = Callable[["Desk", Any], Any]

# Statuses from here on say that the same may well be answered another time: too much at once, a record that is away.
TRY_AGAIN = 429
HANDLERS: dict[str, Handler] = {}


class Desk(msgspec.Struct, frozen=True):
    """`who` asks, as it is kept with what was decided (`ann@laptop via CLI`, `user ann`), with the rights of `role`.

    `asker` is who asks a server; None where the record is asked in this process, by whoever can open its file.
    `cookies` are set with the answer: what a handler puts there (None: to be forgotten).
    `lives(holder)` says whether a process lives, None when that cannot be seen from here; `now()` is the moment.
    """

    store: Store
    vault: Vault
    now: Callable[[], datetime]
    lives: Callable[[Holder], bool | None]
    who: str
    role: Role = ADMIN
    asker: Asker | None = None
    cookies: dict[str, str | None] = msgspec.field(default_factory=dict)
    # Of a server, for whoever asks about it.
    version: str = ""
    settings: tuple[ShownSetting, ...] = ()
    ui_url: str | None = None
    # How long the loops of a server keep what.
    ages: Ages = Ages()

    def asked_by(self, asker: Asker) -> Desk:
        """The same desk, for one request of this asker."""
        return msgspec.structs.replace(self, who=asker.who, role=asker.role, asker=asker, cookies={})

    def answer(self, operation: Operation[Any, R], argument: msgspec.Struct) -> R:
        """The answer as it is now. Raises `Unchanged` where there is nothing new, and what the handler raises."""
        asker = self.asker or Asker(who=self.who, role=self.role)
        if not operation.audited:
            asker.check(operation.name, operation.role, reads=operation.reads, journal=operation.journal)
            answer: R = HANDLERS[operation.name](self, argument)
            return answer
        return self._answer_audited(operation, argument, asker)

    def _answer_audited(self, operation: Operation[Any, R], argument: msgspec.Struct, asker: Asker) -> R:
        entry = audit.entry_of(asker, operation, argument, self.now())
        store = audit.AuditedStore(self.store, entry)
        try:
            asker.check(operation.name, operation.role, reads=operation.reads, journal=operation.journal)
            answer: R = HANDLERS[operation.name](msgspec.structs.replace(self, store=store), argument)
        except PenstockError as error:
            # Strangers could fill the log; and of what is asked again later the answer is not known yet.
            if asker.signed_in and status_of(error) < TRY_AGAIN:
                audit.note_refusal(self.store, entry, error.code)
            raise
        if not store.noted:
            audit.note(self.store, entry)
        return answer

    def wait_for_answer(
        self, operation: Operation[Any, R], argument: Any, meanwhile: Callable[[], object] | None = None
    ) -> R:
        """`answer`, waiting in this thread while there is nothing new and the asker is patient; `meanwhile` is called
        every second of it, and at its beginning."""
        began = self.now()
        while True:
            seen = self.store.changes() if operation.waits else 0
            try:
                return self.answer(operation, argument)
            except Unchanged as unchanged:
                left = argument.wait - (self.now() - began).total_seconds()
                if left <= 0:
                    return unchanged.value  # type: ignore[no-any-return]
                if meanwhile is not None:
                    meanwhile()
                self.store.wait_for_change(seen, left if meanwhile is None else min(left, 1.0))


def answers(operation: Operation[A, R]) -> Callable[[Callable[[Desk, A], R]], Callable[[Desk, A], R]]:
    """Makes a function the handler of an operation."""

    def note(handler: Callable[[Desk, A], R]) -> Callable[[Desk, A], R]:
        assert operation.name not in HANDLERS, f"there are two handlers of {operation.name}"
        HANDLERS[operation.name] = handler
        return handler

    return note
