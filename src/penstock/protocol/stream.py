"""Live streams: what can be asked of one, and what its events are.

Law: a stream says what has changed, each change once and in order, and where to go on (`cursor`). What a client missed
by more than is kept, it is told to read anew (`reset`).
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from ..domain.filters import RunFilter
from ..domain.runs import Holder

STREAM = "/stream"
SIGNALS = "/signals"
HEARTBEAT_SECONDS = 15.0
# What a browser waits, in milliseconds, before it comes again when a server has ended.
RETRY = 1_000

# kind of event -> what its data are
EVENTS = {
    "begin": "The stream begins here: what is read over REST from now on is at least as new as its cursor. No data.",
    "flow_run": "A flow run as it is now.",
    "task_run": "A task run of the followed flow run, as it is now.",
    "log": "A line of the followed flow run's log.",
    "deleted": "A run was deleted: its `id`.",
    "reset": "What came after the cursor that was given is not kept any more: read anew, and follow from here.",
    "signal": "Somebody asks for a run's end or pause, or has answered one: for the process that executes it.",
}


class AskStream(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All flow runs that fit `filter` (JSON), or one `flow_run` with its task runs, and its log with `logs`. From
    `cursor` on; without, from now on: a flow run as it is, and its log from the beginning."""

    flow_run: UUID | None = None
    logs: bool = False
    filter: str | None = None
    cursor: str | None = None


class AskSignals(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Requests to stop runs of the process `holder` (JSON)."""

    holder: str


decode_filter = msgspec.json.Decoder(RunFilter).decode
decode_holder = msgspec.json.Decoder(Holder).decode


class StreamEvent(msgspec.Struct, tag=False):
    """An event as a WebSocket carries it: a JSON text."""

    event: str
    cursor: str
    data: msgspec.Raw
