"""Why a flow run waits, asked from anywhere."""

from __future__ import annotations

import asyncio
from uuid import UUID

from .. import connect
from ..domain.ids import parse_id
from ..domain.waiting import Why
from ..protocol.flow_runs import WHY_FLOW_RUN, ById


def why_flow_run_waits(flow_run_id: UUID | str) -> Why:
    """Why a flow run has not begun: `sentence` for people; `reason`, `until`, `limit`, `used`, `holders` and `position`
    for programs.

    Raises `ObjectNotFound`.

    Example::

        why = why_flow_run_waits(run.id)
        print(why.reason, why.sentence)
    """
    return connect.call(WHY_FLOW_RUN, ById(parse_id(flow_run_id)))


async def awhy_flow_run_waits(flow_run_id: UUID | str) -> Why:
    """`why_flow_run_waits()` to be awaited."""
    return await asyncio.to_thread(why_flow_run_waits, flow_run_id)
