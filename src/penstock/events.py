"""Events: something happened to something; and waiting for one."""

from .domain.events import Event, EventMatch
from .flows.awaiting_events import wait_for_event
from .flows.events import emit_event

__all__ = ["Event", "EventMatch", "emit_event", "wait_for_event"]
