"""Deciding a transition: the table of edges first, then the rules of the edge, in order."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from .rules import ACCEPT, RULES, Accept, Decision, Facts, Refuse, Rule, Transition
from .states import TRANSITIONS, State, StateType


@cache
def rules_of(before: StateType | None, after: StateType) -> tuple[Rule, ...]:
    """The rules that guard an edge, in the order they are asked."""
    return tuple(rule for rule in RULES if rule.guards(before, after))


@cache
def facts_needed(before: StateType | None, after: StateType) -> frozenset[str]:
    """What must be gathered before an edge can be decided."""
    return frozenset[str]().union(*(rule.needs for rule in rules_of(before, after)))


def decide(transition: Transition, facts: Facts) -> Decision:
    """Accept, Replace, Wait or Refuse; pure.

    Example::

        decide(Transition(before=running, after=failed), Facts(attempts=1, retries=2))   # Replace(AwaitingRetry …)
    """
    before = transition.before.type if transition.before is not None else None
    after = transition.after.type
    for rule in rules_of(before, after):
        decision = rule.decide(transition, facts)
        if not isinstance(decision, Accept):
            return decision
    if before is not None and after not in TRANSITIONS[before]:
        return Refuse(f"A run cannot go from {before.value} to {after.value}.", "no-such-edge")
    return ACCEPT


class Entered(msgspec.Struct, frozen=True):
    """What became of a proposal: the state the run is in now, and why when it is not the proposed one.

    `status` is accepted, replaced, wait (ask again after `seconds`) or refused.
    """

    status: str
    state: State[Any]
    why: str | None = None
    seconds: float = 0.0
