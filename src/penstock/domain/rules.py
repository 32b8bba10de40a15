"""The rules of transitions, as an ordered table of pure decisions.

Law: a rule looks at the transition and at the facts it says it needs, and answers Accept, Replace, Wait or Refuse. It
reads nothing and writes nothing. Who asks gathers the facts: the services for flow runs (in the same transaction),
the engine for task runs (it holds them). The first rule that does not accept decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .states import CANCELLED, CANCELLING, FAILED, FINAL, RUNNING, TRANSITIONS, State, StateType, make
from .stops import SHUTDOWN


class Transition(msgspec.Struct, frozen=True):
    """A proposed change: `before` is None for a run's first state."""

    before: State[Any] | None
    after: State[Any]


class Facts(msgspec.Struct, frozen=True):
    """What rules may want to know; whoever decides fills in what the edge's rules need.

    `attempts` made so far, `retries` allowed, `retry_wanted` is the user's own condition, `retry_delay` in seconds;
    `epoch` of the record and `epoch_of_writer`.
    """

    attempts: int = 0
    retries: int = 0
    retry_wanted: bool = True
    retry_delay: float = 0.0
    epoch: int = 0
    epoch_of_writer: int | None = None


class Accept(msgspec.Struct, frozen=True):
    """Go on."""


class Replace(msgspec.Struct, frozen=True):
    """Enter this state instead of the proposed one."""

    state: State[Any]
    rule: str


class Wait(msgspec.Struct, frozen=True):
    """Ask again in so many seconds."""

    seconds: float
    why: str


class Refuse(msgspec.Struct, frozen=True):
    """Nothing changes."""

    why: str
    rule: str


Decision = Accept | Replace | Wait | Refuse
ACCEPT = Accept()


class Rule(msgspec.Struct, frozen=True):
    """`before` and `after` are the types of the edge, None for any; `needs` names the facts it reads."""

    name: str
    before: frozenset[StateType] | None
    after: frozenset[StateType] | None
    needs: frozenset[str]
    decide: Callable[[Transition, Facts], Decision]

    def guards(self, before: StateType | None, after: StateType) -> bool:
        return (self.before is None or before in self.before) and (self.after is None or after in self.after)


def _stale_writer(t: Transition, facts: Facts) -> Decision:
    if facts.epoch_of_writer is None or facts.epoch_of_writer == facts.epoch:
        return ACCEPT
    why = f"The run was taken over (epoch {facts.epoch}); this write is from epoch {facts.epoch_of_writer}."
    return Refuse(why, "stale-writer")


def _final_is_final(t: Transition, facts: Facts) -> Decision:
    assert t.before is not None
    return Refuse(f"The run already ended in state {t.before.name!r}.", "final-is-final")


def _cancelling_ends_cancelled(t: Transition, facts: Facts) -> Decision:
    # The code may have come to its end by itself before the stop reached it; the person's decision stands.
    message = f"The run was being cancelled when it ended as {t.after.name}."
    asked = (t.before.details if t.before is not None else None) or {}
    found = t.after.details or {}
    details = {**asked, **found} or None
    if found.get("reason") == SHUTDOWN:  # which whoever launched it brought about, because of the request
        message, details = f"Cancelled by {asked.get('who', 'somebody')}.", {**found, **asked}
    state = make("Cancelled", t.after.timestamp, message=message, details=details)
    return Replace(state, "cancelling-ends-cancelled")


def _cancelling_stays(t: Transition, facts: Facts) -> Decision:
    return Refuse("The run is being cancelled.", "cancelling-stays")


def _retry_failed(t: Transition, facts: Facts) -> Decision:
    if not facts.retry_wanted or facts.attempts > facts.retries:
        return ACCEPT
    details = {"scheduled_after_seconds": facts.retry_delay, "attempt": facts.attempts}
    state = make("AwaitingRetry", t.after.timestamp, message=t.after.message, details=details)
    return Replace(state, "retry-failed")


_ANY = None
RULES: tuple[Rule, ...] = (
    Rule("stale-writer", _ANY, _ANY, frozenset({"epoch", "epoch_of_writer"}), _stale_writer),
    Rule("final-is-final", FINAL, _ANY, frozenset(), _final_is_final),
    Rule(
        "cancelling-ends-cancelled",
        frozenset({CANCELLING}),
        FINAL - {CANCELLED},
        frozenset(),
        _cancelling_ends_cancelled,
    ),
    Rule(
        "cancelling-stays",
        frozenset({CANCELLING}),
        frozenset(TRANSITIONS) - FINAL - {CANCELLING},
        frozenset(),
        _cancelling_stays,
    ),
    Rule(
        "retry-failed",
        frozenset({RUNNING}),
        frozenset({FAILED}),
        frozenset({"attempts", "retries", "retry_wanted", "retry_delay"}),
        _retry_failed,
    ),
)
