"""What can be asked about inputs that are sent to flow runs."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec

from ..domain.run_inputs import MOST_KEY, MOST_SENDER, SentInput
from .flow_runs import Patience
from .operation import Operation
from .paging import Limit

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_KEY)]


class SendInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Sends a value to a run. `key` says what it is: the name of its type, where the receiver asks for one."""

    id: UUID
    key: Key
    value: Any
    sender: Annotated[str, msgspec.Meta(max_length=MOST_SENDER)] | None = None


class FilterInputs(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What was sent to a run after the one of number `seen`, with this key, the oldest first. While there is nothing,
    `wait` seconds at most are waited."""

    id: UUID
    key: Key | None = None
    seen: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] = 0
    limit: Limit = 200
    wait: Patience = 0.0


SEND_INPUT = Operation(
    "send_run_input", "POST", "/flow_runs/{id}/input", SendInput, SentInput, "Send a flow run an input.", journal=True,
    status=201, strict=True,
)  # fmt: skip
FILTER_INPUTS = Operation(
    "filter_run_inputs", "POST", "/flow_runs/{id}/input/filter", FilterInputs, list[SentInput],
    "List what was sent to a flow run, or wait for it.", reads=True, waits=True, strict=True,
)  # fmt: skip
