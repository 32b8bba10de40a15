"""Pauses: what a flow run waits for, until when, and what a person answered.

Law: a pause is answered once. Whoever comes first decides, and all that was decided is on it: what, by whom, when, by
which way, with which input. What a person gives is data; it is checked, and never taken for a template or for code.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from .events import EventMatch
from .states import State, make

Json = dict[str, Any]

# What the record, and who catches it, says of a pause that nobody answered in time.
NEVER_RESUMED = "The flow was paused and never resumed."
# Who resumed it, where that was wanted when its time was over.
NOBODY = "its time limit"
# Names of states: a run without a process that waits; one that was told to go on, and has not begun to.
SUSPENDED, RESUMING = "Suspended", "Resuming"

# In the details of a run that is suspended with a subflow run of it: which.
WAITS_FOR = "waits_for"


class OnTimeout(StrEnum):
    """What a pause comes to that nobody answered: the run fails; goes on with the pause's default input, as if it was
    approved; or as if it was rejected."""

    FAIL = "fail"
    RESUME = "resume"
    REJECT = "reject"


class Outcome(StrEnum):
    """What a pause came to: it was resumed, or rejected (by people, or by itself where that was wanted); its time was
    over; or its run ended, or went on, without an answer."""

    RESUMED = "resumed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was decided; `who` says the way as well (`ann@laptop via CLI`). `input` is as JSON has it."""

    outcome: Outcome
    at: datetime
    who: str | None = None
    input: Any = None
    comment: str | None = None


class Verdict(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one person decided on an approval. `name` is who they are, `who` that in words, with the way."""

    verdict: Verdict
    at: datetime
    name: str
    who: str
    comment: str | None = None
    input: Any = None


class Pause(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One pause of a flow run. Of those with the same `key` in a run only the first is waited for: a run that is
    entered again goes on with its answer.

    `suspended`: no process waits. `who` asked for it, where that was not the run's own code. `text` is what a person
    is asked, `schema` the JSON schema of the input that the answer must have (None: it has none), `plain` that this is
    an object with the one property `value`, which may be given by itself, and `initial` what is filled in already.
    `problem` is why the last answer was given back.

    With `approval` it is approved or rejected: by one of the `approvers` (names of users, `role:editor`; none: by
    anyone), and approved when `quorum` of them have, each of whom decides once, and is in `decisions`. An `event` that
    fits answers it, too.
    """

    id: UUID
    flow_run_id: UUID
    key: str
    begun: datetime
    deadline: datetime | None = None
    suspended: bool = False
    who: str | None = None
    text: str | None = None
    schema: Json | None = None
    plain: bool = False
    initial: Any = None
    on_timeout: OnTimeout = OnTimeout.FAIL
    default: Any = None
    problem: str | None = None
    approval: bool = False
    approvers: tuple[str, ...] = ()
    quorum: int = 1
    decisions: tuple[Decision, ...] = ()
    event: EventMatch | None = None
    answer: Answer | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether nobody may answer any more."""
        return self.answer is not None or (self.deadline is not None and self.deadline <= now)

    def decide(self, decision: Decision) -> Answer | None:
        """Adds what somebody decided; the answer, where that settles it. One who rejects is enough."""
        self.decisions = (*self.decisions, decision)
        if decision.verdict is Verdict.REJECT:
            self.answer = Answer(Outcome.REJECTED, decision.at, decision.who, None, decision.comment)
        elif len(self.decisions) >= self.quorum:
            by = ", ".join(each.who for each in self.decisions)
            self.answer = Answer(Outcome.RESUMED, decision.at, by, decision.input, decision.comment)
        return self.answer

    def may_decide(self, name: str, role: str) -> bool:
        """Whether somebody of this name and role is asked."""
        return not self.approvers or name in self.approvers or f"role:{role}" in self.approvers

    def time_out(self, now: datetime) -> Answer:
        """Its time is over: what it comes to by itself."""
        outcome = _BY_ITSELF[self.on_timeout]
        by_itself = outcome is not Outcome.EXPIRED
        given = self.default if outcome is Outcome.RESUMED else None
        self.answer = Answer(outcome, self.deadline or now, NOBODY if by_itself else None, given)
        return self.answer


_BY_ITSELF = {
    OnTimeout.FAIL: Outcome.EXPIRED, OnTimeout.RESUME: Outcome.RESUMED, OnTimeout.REJECT: Outcome.REJECTED,
}  # fmt: skip


def waiting(pause: Pause, now: datetime) -> State[Any]:
    """The state of a run that waits."""
    name = SUSPENDED if pause.suspended else "Paused"
    by = "" if pause.who is None else f"{name} by {pause.who}. "
    until = "" if pause.deadline is None else f" until {pause.deadline:%Y-%m-%d %H:%M:%S} UTC"
    what = f"event {pause.event.event!r}" if pause.event else f"to be {'approved' if pause.approval else 'resumed'}"
    message = f"{by}Waits {'for ' if pause.event else ''}{what}{until}."
    if pause.decisions:
        message = f"{message} Approved by {len(pause.decisions)} of {pause.quorum}."
    if pause.problem is not None:
        message = f"The answer was given back: {pause.problem}"
    return make(name, now, message=message, details=_details(pause))


def resuming(pause: Pause, now: datetime) -> State[Any]:
    """The state of a run that was told to go on, and has not begun to."""
    return make(RESUMING, now, message=_resumed(pause), details=_details(pause))


def going_on(pause: Pause, now: datetime) -> State[Any]:
    """The state of a run that goes on in the process that waited."""
    return make("Running", now, message=_resumed(pause), details=_details(pause))


def _resumed(pause: Pause) -> str:
    answer = pause.answer
    if answer is None or answer.outcome is Outcome.WITHDRAWN:
        return "It goes on without an answer."
    if answer.outcome is Outcome.EXPIRED:
        return NEVER_RESUMED
    if answer.outcome is Outcome.REJECTED:
        return f"Rejected by {answer.who}."
    return f"{'Approved' if pause.approval else 'Resumed'} by {answer.who}."


def _details(pause: Pause) -> dict[str, Any]:
    details: dict[str, Any] = {"pause": str(pause.id), "key": pause.key}
    if pause.deadline is not None:
        details["deadline"] = pause.deadline.isoformat()
    if pause.answer is not None:
        details["outcome"] = pause.answer.outcome.value
        if pause.answer.who is not None:
            details["who"] = pause.answer.who
        if pause.answer.comment is not None:
            details["comment"] = pause.answer.comment
    return details


def is_same_attempt(state: State[Any]) -> bool:
    """Of a Running state: whether it goes on with what was paused, in the same process."""
    return state.is_running() and "pause" in (state.details or {})
