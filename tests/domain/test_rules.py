"""Every edge, under every fact that a rule looks at, is decided as the law says: written out here a second time."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.rules import RULES, Accept, Decision, Facts, Refuse, Replace, Transition
from penstock.domain.states import FINAL, NAMES, State, StateType, make
from penstock.domain.transition import decide, facts_needed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
T = StateType
BEFORE: list[StateType | None] = [None, *StateType]
FACTS = [
    Facts(attempts=attempts, retries=2, retry_wanted=wanted, retry_delay=1.5, epoch=3, epoch_of_writer=writer)
    for attempts, wanted, writer in product((1, 2, 3), (True, False), (None, 3, 2, 4))
]


def state(type_: StateType) -> State[None]:
    return State(type_, type_.value.title(), NOW, "a message", {"a": "detail"})


def proposed(before: StateType | None, after: StateType, facts: Facts) -> Decision:
    return decide(Transition(None if before is None else state(before), state(after)), facts)


def expected(before: StateType | None, after: StateType, facts: Facts) -> tuple[type, str | None]:
    if facts.epoch_of_writer not in (None, facts.epoch):
        return Refuse, "stale-writer"
    if before in FINAL:
        return Refuse, "final-is-final"
    if before is T.CANCELLING:
        if after in (T.CANCELLED, T.CANCELLING):
            return Accept, None
        return (Replace, "cancelling-ends-cancelled") if after in FINAL else (Refuse, "cancelling-stays")
    if before is T.RUNNING and after is T.FAILED and facts.retry_wanted and facts.attempts <= facts.retries:
        return Replace, "retry-failed"
    if before is T.PAUSED and after is T.COMPLETED:
        return Refuse, "no-such-edge"
    return Accept, None


@pytest.mark.parametrize("before", BEFORE)
def test_every_edge_is_decided_as_the_law_says(before: StateType | None) -> None:
    for after, facts in product(StateType, FACTS):
        decision = proposed(before, after, facts)
        found = type(decision), getattr(decision, "rule", None)
        assert found == expected(before, after, facts), (after, facts)


def test_a_refusal_says_why() -> None:
    for before, after, facts in product(BEFORE, StateType, FACTS):
        decision = proposed(before, after, facts)
        if isinstance(decision, Refuse):
            assert decision.why.endswith(".")
            assert len(decision.why) > 20


def test_a_failure_with_tries_left_becomes_a_retry_that_says_what_went_wrong() -> None:
    decision = proposed(T.RUNNING, T.FAILED, Facts(attempts=1, retries=1, retry_delay=2.5))
    assert isinstance(decision, Replace)
    assert (decision.state.name, decision.state.type) == ("AwaitingRetry", T.SCHEDULED)
    assert decision.state.message == "a message"
    assert decision.state.details == {"scheduled_after_seconds": 2.5, "attempt": 1}


def test_code_that_ends_while_it_is_being_cancelled_ends_cancelled() -> None:
    for after in FINAL - {T.CANCELLED}:
        decision = proposed(T.CANCELLING, after, Facts())
        assert isinstance(decision, Replace)
        assert decision.state.type is T.CANCELLED
        assert after.value.title() in (decision.state.message or "")


def test_the_facts_an_edge_needs_are_those_its_rules_read() -> None:
    """Whoever gathers only these decides as if everything were known."""
    neutral = Facts()
    for before, after, facts in product(BEFORE, StateType, FACTS):
        needed = facts_needed(before, after)
        gathered = Facts(
            **{name: getattr(facts if name in needed else neutral, name) for name in Facts.__struct_fields__}
        )
        assert proposed(before, after, gathered) == proposed(before, after, facts)


def test_rules_have_names_of_their_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


@given(st.lists(st.tuples(st.sampled_from(sorted(NAMES)), st.integers(0, 3), st.booleans()), max_size=30))
def test_whatever_is_proposed_a_run_that_ended_has_ended(proposals: list[tuple[str, int, bool]]) -> None:
    now: State[None] | None = None
    ended: State[None] | None = None
    for name, attempts, wanted in proposals:
        after = make(name, NOW)
        decision = decide(Transition(now, after), Facts(attempts=attempts, retries=2, retry_wanted=wanted))
        if not isinstance(decision, Refuse):
            now = decision.state if isinstance(decision, Replace) else after
        if ended is not None:
            assert now is ended
        elif now is not None and now.is_final():
            ended = now
