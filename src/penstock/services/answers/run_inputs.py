"""Answers about inputs that are sent to flow runs."""

from __future__ import annotations

from ...domain.run_inputs import SentInput
from ...protocol import run_inputs as asked
from ...protocol.operation import Unchanged
from .. import run_inputs
from ..desk import Desk, answers


@answers(asked.SEND_INPUT)
def send_run_input(desk: Desk, query: asked.SendInput) -> SentInput:
    return run_inputs.send(
        desk.store, query.id, query.key, query.value, sender=query.sender, who=desk.who, now=desk.now()
    )


@answers(asked.FILTER_INPUTS)
def filter_run_inputs(desk: Desk, query: asked.FilterInputs) -> list[SentInput]:
    found = run_inputs.behind(desk.store, query.id, query.key, query.seen, query.limit)
    if not found:
        raise Unchanged(found)
    return found
