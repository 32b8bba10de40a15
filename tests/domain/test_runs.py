"""A run's record: its states, what follows from them, and its plain form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from penstock.domain.runs import STATES_KEPT, FlowRun, TaskRun
from penstock.domain.states import StateType, make

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def task_run(**fields: Any) -> TaskRun:
    return TaskRun(id=uuid4(), name="a-0", created=START, task_name="a", task_key="m.a", **fields)


def test_a_new_state_raises_the_version() -> None:
    run = task_run()
    for seconds, name in enumerate(("Pending", "Running", "Completed")):
        run.enter(make(name, at(seconds)))
    assert run.version == 3
    assert run.state.name == run.state_name == "Completed"
    assert run.state_type is StateType.COMPLETED
    assert (run.start_time, run.end_time) == (at(1), at(2))


def test_a_run_that_goes_on_has_no_end() -> None:
    run = task_run(states=(make("Pending", at(0)), make("Running", at(1))))
    assert run.end_time is None


def test_run_time_is_what_was_spent_running_in_all_attempts() -> None:
    names = ["Pending", "Running", "AwaitingRetry", "Retrying", "Failed"]
    run = task_run(
        states=tuple(make(name, at(seconds)) for name, seconds in zip(names, (0, 1, 4, 10, 12), strict=True))
    )
    assert run.total_run_time == timedelta(seconds=5)


def test_a_run_that_is_retried_for_ever_does_not_grow_for_ever() -> None:
    run = task_run()
    for number in range(1000):
        run.enter(make("Running", at(number)))
    assert len(run.states) == STATES_KEPT
    assert run.version == 1000
    assert run.states[0].timestamp == at(0)
    assert run.states[-1].timestamp == at(999)


def test_the_plain_form_holds_ids_times_and_states() -> None:
    run = FlowRun(id=uuid4(), name="x", created=START, flow_id=uuid4(), flow_name="f", states=(make("Pending", START),))
    plain = run.dict()
    assert plain["id"] == run.id
    assert plain["state"]["name"] == plain["state_name"] == "Pending"
    assert plain["end_time"] is None
    assert run.model_dump() == plain


def test_the_plain_form_of_a_run_without_states_is_there_too() -> None:
    assert task_run().dict()["state"] is None
