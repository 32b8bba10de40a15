"""`wait_for_event`: a flow run waits until something happens, and the wait outlives its process."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from ..domain.errors import PenstockError
from ..domain.events import Event, EventMatch
from ..engine.context import FlowRunContext
from ..engine.pausing import Answered, Wish
from .pausing import TIMEOUT, begin, wish_of


def wait_for_event(
    match: str | dict[str, Any] | EventMatch, timeout: float | None = TIMEOUT, *, after: datetime | None = None,
    suspend: bool = False, key: str | None = None,
) -> Any:  # fmt: skip
    """Has the flow run wait until an event happens, and gives that `Event`.

    `match` is its name (`"order.shipped"`, or a beginning: `"order.*"`), or a dict: `event` is the name, `resource_id`
    that of its resource (a beginning, too), `payload` what the event's payload has, among others. Events count that
    are recorded while the run waits, and, with `after`, those since that moment, the oldest first.

    It is a pause: the run is `Paused`, no limit counts, and the wait outlives the process; with `suspend` no process
    waits. When `timeout` seconds are over (an hour; None: for ever), `FlowPauseTimeout` is raised. If a person resumes
    the run, it gives None. `key` is as in `pause_flow_run`. In an asynchronous flow or task it is awaited.

    Raises `MissingContextError` outside of flows, and `ValueError` for what matches no event.

    Example::

        shipped = wait_for_event({"event": "order.shipped", "payload": {"order": 17}}, timeout=86_400)
        print(shipped.payload["parcels"])
    """
    return begin(partial(_wish, match, timeout, after, key), suspends=suspend, take=_taken)


def _wish(match: Any, timeout: Any, after: Any, key: Any, flow: FlowRunContext) -> Wish:
    if after is not None and not isinstance(after, datetime):
        raise ValueError(f"after is a datetime; it is {after!r:.80}.")
    try:
        fields = {"event": match} if isinstance(match, str) else msgspec.to_builtins(match)
        if after is not None:
            fields = {**fields, "after": after.astimezone(UTC).isoformat()}
        wanted = msgspec.json.decode(msgspec.json.encode(fields), type=EventMatch)
    except (msgspec.MsgspecError, PenstockError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"What is waited for is an event's name, or a dict with `event`: {error}.") from None
    wish = wish_of(None, timeout, key, "fail", None, f"Waits for event {wanted.event!r}.", flow)
    return msgspec.structs.replace(wish, event=wanted, check=_event)


def _event(given: Any) -> Event | None:
    return None if given is None else msgspec.convert(given, Event)


def _taken(answered: Answered) -> Any:
    return answered.value
