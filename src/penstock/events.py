"""Events: something happened to something."""

from .domain.events import Event
from .flows.events import emit_event

__all__ = ["Event", "emit_event"]
