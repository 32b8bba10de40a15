"""Inputs between runs: what is sent to a run comes there, once, in order, as a value of the type that is asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from penstock import cancel_flow_run, connect, flow
from penstock.domain.runs import FlowRun
from penstock.exceptions import CancelledRun, MissingContextError, ObjectNotFound, TransitionRefused, UnstorableValue
from penstock.input import Received, RunInput, receive_input, send_input
from penstock.protocol.run_inputs import FILTER_INPUTS, SEND_INPUT, FilterInputs, SendInput

from .kit import Record, until
from .test_pauses import Flows, flows

__all__ = ["flows"]


class Greeting(RunInput):
    name: str
    times: int = 1


def running(record: Record, name: str = "receives") -> FlowRun:
    def found() -> FlowRun | None:
        return next((run for run in record.flow_runs(name) if run.state.is_running()), None)

    run = until(found)
    assert run is not None
    return run


def receives(count: int, kind: Any = str, **options: Any) -> Callable[[], Any]:
    @flow
    def receives() -> Any:
        inputs = receive_input(kind, **{"timeout": 30, **options})
        return [inputs.next() for _ in range(count)]

    return receives


def test_what_is_sent_comes_in_order_and_by_its_type(record: Record, flows: Flows) -> None:
    outcome = flows.start(receives(3))
    run = running(record)
    send_input(7, run.id)
    for name in ("ann", "bob"):
        send_input(name, run.id)
    send_input(Greeting(name="eve"), run.id)
    send_input("carl", str(run.id))
    until(lambda: outcome)
    assert outcome[0] == ["ann", "bob", "carl"]


def test_what_came_before_is_given_first_and_it_ends_when_nothing_comes(record: Record, flows: Flows) -> None:
    @flow
    def receives() -> Any:
        me = record_id()
        for number in range(250):
            send_input(number, me)
        return [list(receive_input(int, timeout=0.2)), list(receive_input(int, timeout=0.2, exclude_keys={"int-1"}))]

    def record_id() -> Any:
        from penstock import runtime

        return runtime.flow_run.id

    numbers, others = receives()
    assert numbers == list(range(250))
    assert others == list(range(1, 250))


def test_a_model_has_who_sent_it_and_can_be_answered(record: Record, flows: Flows) -> None:
    @flow
    def receives() -> Any:
        greeting = Greeting.receive(timeout=30).next()
        greeting.respond(f"hello {greeting.name}")
        return greeting

    @flow
    def sends(other: Any) -> Any:
        Greeting(name="ann", times=3).send_to(other)
        return receive_input(str, timeout=30, with_metadata=True).next()

    outcome = flows.start(receives)
    answer = sends(running(record).id)
    until(lambda: outcome)
    (greeting,) = outcome
    assert (greeting.name, greeting.times) == ("ann", 3)
    sender = record.flow_run("sends")
    assert greeting.metadata.sender == f"penstock.flow-run.{sender.id}"
    assert isinstance(answer, Received)
    assert answer.value == "hello ann"
    assert answer.metadata.receiver == sender.id


def test_in_a_coroutine_it_is_awaited_and_iterated_over(record: Record, flows: Flows) -> None:
    @flow
    async def receives() -> Any:
        found = []
        inputs = receive_input(str, timeout=30)
        found.append(await inputs.next())
        async for each in inputs:
            found.append(each)
            if each == "end":
                return found
        return None

    @flow
    async def sends(other: Any) -> None:
        for text in ("a", "b", "end"):
            await send_input(text, other)

    outcome = flows.start(lambda: asyncio.run(receives()))
    asyncio.run(sends(running(record).id))
    until(lambda: outcome)
    assert outcome == [["a", "b", "end"]]


def test_what_does_not_fit_is_said_and_passed_over(record: Record, flows: Flows) -> None:
    outcome = flows.start(receives(1, Greeting))
    run = running(record)
    for value in ({"name": 7}, "text", None, {"name": "{{ 7 * 7 }}"}):
        connect.call(SEND_INPUT, SendInput(id=run.id, key="greeting", value=value, sender="eve"))
    until(lambda: outcome)
    assert outcome[0][0].name == "{{ 7 * 7 }}"
    until(lambda: len([line for line in record.messages(run) if "from eve does not fit" in line]) == 3)
    with pytest.raises(ValueError, match="not sent by a flow run"):
        outcome[0][0].respond("hello")


def test_nothing_that_comes_is_a_timeout_where_that_is_wanted(record: Record) -> None:
    with pytest.raises(TimeoutError, match="Nothing was sent"):
        receives(1, timeout=0.1)()

    @flow
    def raises() -> None:
        for _ in receive_input(str, timeout=0.1, raise_timeout_error=True):
            pass

    with pytest.raises(TimeoutError):
        raises()


def test_a_run_that_waits_for_input_is_cancelled_as_any_other(record: Record, flows: Flows) -> None:
    outcome = flows.start(receives(1))
    run = running(record)
    begun = time.monotonic()
    cancel_flow_run(run.id, grace=20)
    until(lambda: outcome)
    assert isinstance(outcome[0], CancelledRun)
    assert time.monotonic() - begun < 10  # it looks up every second


def test_what_cannot_be_sent_is_said(record: Record, flows: Flows) -> None:
    outcome = flows.start(receives(1))
    run = running(record)
    with pytest.raises(UnstorableValue, match="the most"):
        send_input("x" * 300_000, run.id)
    send_input("ok", run.id)
    until(lambda: outcome)
    ended = until(lambda: record.flow_run() if record.flow_run().state.is_final() else None)
    with pytest.raises(TransitionRefused, match="nobody would read"):
        send_input("late", ended.id)
    with pytest.raises(ObjectNotFound):
        send_input("x", uuid4())
    with pytest.raises(ObjectNotFound):
        connect.call(FILTER_INPUTS, FilterInputs(id=uuid4()))
    with pytest.raises(MissingContextError):
        receive_input(str)
