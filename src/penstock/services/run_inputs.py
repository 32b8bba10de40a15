"""Inputs that are sent to flow runs while they run."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.errors import ObjectNotFound, TransitionRefused, UnstorableValue
from ..domain.reopening import called
from ..domain.run_inputs import MOST, SentInput, checked
from ..store import flow_runs, run_inputs
from ..store.contract import Store


def send(store: Store, run_id: UUID, key: str, value: Any, *, sender: str | None, who: str, now: datetime) -> SentInput:
    """Raises `ObjectNotFound`, `TransitionRefused` for a run that has ended, and `UnstorableValue`."""
    sent = checked(SentInput(flow_run_id=run_id, seq=0, key=key, value=value, at=now, sender=sender, who=who))
    with store.write() as tx:
        run = flow_runs.get(tx, run_id)
        if run is None:
            raise ObjectNotFound(f"Flow run '{run_id}' not found!")
        if run.state.is_final():
            raise TransitionRefused(f"{called(run)} is {run.state_name}: nobody would read what is sent to it.")
        number = run_inputs.last(tx, run_id) + 1
        if number > MOST:
            raise UnstorableValue(f"{called(run)} was sent {MOST:,} inputs, which is the most.")
        numbered = SentInput(
            flow_run_id=run_id, seq=number, key=sent.key, value=sent.value, at=now, sender=sent.sender, who=who
        )
        run_inputs.add(tx, numbered)
    return numbered


def behind(store: Store, run_id: UUID, key: str | None, seq: int, limit: int) -> list[SentInput]:
    """Those that came after number `seq`, the oldest first. Raises `ObjectNotFound`."""
    with store.read() as tx:
        if flow_runs.get(tx, run_id) is None:
            raise ObjectNotFound(f"Flow run '{run_id}' not found!")
        return run_inputs.behind(tx, run_id, key, seq, limit)
