"""Watching a run that others execute: the record says when it has changed."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from penstock.cli.record import WAIT_SECONDS, ask
from penstock.domain.runs import FlowRun
from penstock.protocol.flow_runs import WAIT_FOR_FLOW_RUN, WaitForRun


def watch(run_id: UUID) -> Iterator[FlowRun]:
    """The flow run as it is: at once, then whenever it has changed, and every `WAIT_SECONDS`.

    Ends with the run's final state. A run whose process dies is closed on the way, so that nobody waits for the dead.
    Raises `ObjectNotFound` when the run is deleted meanwhile.
    """
    run = ask(WAIT_FOR_FLOW_RUN, WaitForRun(id=run_id))
    yield run
    while not run.state.is_final():
        run = ask(WAIT_FOR_FLOW_RUN, WaitForRun(id=run_id, seen=run.version, wait=WAIT_SECONDS))
        yield run
