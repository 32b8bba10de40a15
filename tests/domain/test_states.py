"""A state says what it is, and gives its run's value or its failure."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock import states
from penstock.domain.states import FINAL, LOOKS, NAMES, TRANSITIONS, State, StateType, StoredValue, make
from penstock.exceptions import CancelledRun, CrashedRun, FailedRun, PausedRun, UnfinishedRun

PREDICATES = {type_: f"is_{type_.value.lower()}" for type_ in StateType}
CONSTRUCTORS = [name for name in states.__all__ if name not in ("State", "StateType")]


class Kept(StoredValue):
    """A value that is fetched when it is asked for."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.loads = 0

    def load(self) -> Any:
        self.loads += 1
        return self.value


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_a_constructor_makes_the_state_of_its_name(name: str) -> None:
    before = datetime.now(UTC)
    state = getattr(states, name)(message="why", details={"a": 1})
    assert (state.name, state.type, state.message, state.details) == (name, NAMES[name], "why", {"a": 1})
    assert before <= state.timestamp <= datetime.now(UTC)


def test_a_constructor_takes_another_name_and_another_moment() -> None:
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    state = states.Completed(name="Loaded", timestamp=moment)
    assert (state.name, state.type, state.timestamp) == ("Loaded", StateType.COMPLETED, moment)


def test_the_engine_gives_its_own_moment() -> None:
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    assert make("TimedOut", moment).timestamp == moment


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError):
        states.Completed(mesage="misspelt")


def test_a_state_cannot_be_changed() -> None:
    state = states.Completed()
    with pytest.raises(AttributeError):
        state.name = "Failed"


@pytest.mark.parametrize("type_", StateType)
def test_exactly_one_predicate_is_true_of_a_state(type_: StateType) -> None:
    state = State(type_, "Whatever", datetime.now(UTC))
    assert [each for each, name in PREDICATES.items() if getattr(state, name)()] == [type_]
    assert state.is_final() is (type_ in FINAL)


def test_states_are_written_as_the_field_writes_them() -> None:
    assert str(states.Completed(message="All states completed.")) == "Completed('All states completed.')"
    assert str(states.Completed()) == "Completed()"
    assert repr(states.Failed(message="no")) == "Failed(message='no', type=FAILED)"
    assert repr(states.Failed()) == "Failed(type=FAILED)"


# --- the tables ------------------------------------------------------------------------------------------------------


def test_every_type_has_a_look_and_a_name() -> None:
    assert set(LOOKS) == set(StateType) == set(NAMES.values())
    assert len({glyph for _, glyph in LOOKS.values()}) == len(LOOKS), "a glyph alone must tell the type"


def test_the_table_of_edges_speaks_of_every_type_and_no_other() -> None:
    assert set(TRANSITIONS) == set(StateType)
    assert all(after <= set(StateType) for after in TRANSITIONS.values())


def test_a_final_state_has_no_way_out_and_every_other_has_one() -> None:
    assert {type_ for type_, after in TRANSITIONS.items() if not after} == FINAL
    for start in set(StateType) - FINAL:
        reached = {start}
        while True:
            more = reached.union(*(TRANSITIONS[type_] for type_ in reached))
            if more == reached:
                break
            reached = more
        assert reached & FINAL, f"{start} leads nowhere"


def test_what_is_being_cancelled_can_only_be_cancelled() -> None:
    assert TRANSITIONS[StateType.CANCELLING] == {StateType.CANCELLING, StateType.CANCELLED}


# --- result() --------------------------------------------------------------------------------------------------------


def test_the_result_of_a_completed_state_is_its_value() -> None:
    value = [1, 2]
    assert states.Completed(data=value).result() is value
    assert states.Completed().result() is None
    assert asyncio.run(states.Completed(data=value).aresult()) is value


def test_the_result_of_a_failed_state_is_its_own_exception() -> None:
    error = ValueError("boom")
    with pytest.raises(ValueError, match="boom") as raised:
        states.Failed(data=error).result()
    assert raised.value is error
    assert states.Failed(data=error).result(raise_on_failure=False) is error


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("Failed", FailedRun),
        ("TimedOut", FailedRun),
        ("Crashed", CrashedRun),
        ("Cancelled", CancelledRun),
        ("Cancelling", CancelledRun),
        ("Paused", PausedRun),
        ("Suspended", PausedRun),
        ("Running", UnfinishedRun),
        ("Pending", UnfinishedRun),
        ("Scheduled", UnfinishedRun),
        ("AwaitingRetry", UnfinishedRun),
    ],
)
def test_without_an_exception_at_hand_the_state_names_its_own(name: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="the reason"):
        getattr(states, name)(message="the reason").result()
    with pytest.raises(error, match=name):
        getattr(states, name)().result()
    assert type(getattr(states, name)().result(raise_on_failure=False)) is error


def test_of_several_states_the_first_that_did_not_complete_speaks() -> None:
    first, second = KeyError("first"), KeyError("second")
    several = [states.Completed(data=1), states.Failed(data=first), states.Failed(data=second)]
    with pytest.raises(KeyError) as raised:
        states.Failed(data=several).result()
    assert raised.value is first
    with pytest.raises(KeyError):
        states.Failed(data=states.Failed(data=first)).result()


def test_a_kept_value_is_fetched_when_it_is_asked_for() -> None:
    kept = Kept("value")
    state = states.Completed(data=kept)
    assert kept.loads == 0
    assert state.result() == "value"
    assert kept.loads == 1


def test_a_state_survives_pickling() -> None:
    state = states.Failed(message="no", data=ValueError("boom"), details={"a": 1})
    again = pickle.loads(pickle.dumps(state))
    assert (again.type, again.name, again.message, again.details) == (state.type, state.name, "no", {"a": 1})
    assert again.timestamp == state.timestamp
    assert again.timestamp.utcoffset() == timedelta()
