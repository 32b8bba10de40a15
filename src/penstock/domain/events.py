"""Events: something happened to something, said by a user's code or by a program; as values.

What happens to runs is not said again here: that is in their states, and in the stream of those.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from .errors import UnstorableValue
from .filters import FilterError, Moment
from .plain import check_size, check_text, plain

RESOURCE_ID, ROLE = "penstock.resource.id", "penstock.resource.role"
# The field's name for the same is understood as well.
_OTHER_ID = "prefect.resource.id"
MOST_NAME = 255
MOST_RELATED = 100
MOST_BYTES = 250_000
_ADVICE = "Keep the rest in a file, and a link to it in the event."

Labels = dict[str, str]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """`event` is what happened (`order.shipped`), `resource` to what: labels, of which `penstock.resource.id` names it;
    `related` are other resources, each with a `penstock.resource.role`. `payload` is plain JSON. `follows` is the event
    that came before, where their order matters. `received` is when the record had it."""

    id: UUID
    event: str
    occurred: datetime
    resource: Labels
    related: tuple[Labels, ...] = ()
    payload: dict[str, Any] = {}
    follows: UUID | None = None
    flow_run_id: UUID | None = None
    received: datetime | None = None

    def jsonable(self) -> dict[str, Any]:
        """As JSON has it."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


class EventFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Events that fit all the fields that are given. `events` and `resource_ids` are whole, or beginnings with a `*` at
    their end. `after` and `before` are about when they occurred; the first is included, the second is not."""

    events: Annotated[tuple[str, ...], msgspec.Meta(max_length=100)] = ()
    resource_ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=100)] = ()
    flow_run_id: UUID | None = None
    after: Moment | None = None
    before: Moment | None = None

    def __post_init__(self) -> None:
        for text in (*self.events, *self.resource_ids):
            if "*" in text[:-1]:
                raise FilterError(f"{text!r:.80} cannot be looked for: a * stands at the end only.")


class EventMatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The events that are waited for: `event` is their name, whole or a beginning with a `*` behind it; `resource_id`
    that of the resource, in the same way; `payload` has what theirs must have, and theirs may have more. `after` is the
    moment from which on they count, where that is not when the wait began."""

    event: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_NAME)]
    resource_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_NAME)] | None = None
    payload: dict[str, Any] = {}
    after: Moment | None = None

    def __post_init__(self) -> None:
        for text in (self.event, self.resource_id or ""):
            if "*" in text[:-1]:
                raise FilterError(f"{text!r:.80} cannot be waited for: a * stands at the end only.")

    def fits(self, event: Event) -> bool:
        return (
            _begins(event.event, self.event)
            and (self.resource_id is None or _begins(resource_id(event.resource), self.resource_id))
            and all(name in event.payload and event.payload[name] == value for name, value in self.payload.items())
        )


def _begins(text: str, pattern: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def resource_id(labels: Labels) -> str:
    return labels.get(RESOURCE_ID) or labels[_OTHER_ID]


def checked(event: Event) -> Event:
    """The event as it can be kept. Raises `UnstorableValue`."""
    name = check_text(event.event, "The name of an event", MOST_NAME)
    if not name or not name.isprintable():
        raise UnstorableValue("The name of an event is printable text: what happened, like 'order.shipped'.")
    if event.occurred.utcoffset() is None:
        raise UnstorableValue("An event's `occurred` has an offset from UTC: datetime.now(UTC).")
    if len(event.related) > MOST_RELATED:
        raise UnstorableValue(f"Event {name!r} has {len(event.related)} related resources; {MOST_RELATED} is the most.")
    made = msgspec.structs.replace(
        event,
        event=name,
        resource=_labels(event.resource, name, "resource"),
        related=tuple(_labels(each, name, "related") for each in event.related),
        payload=_payload(event.payload, name),
    )
    check_size([made.resource, made.related, made.payload], f"Event {name!r}", MOST_BYTES, _ADVICE)
    return made


def _labels(labels: object, name: str, what: str) -> Labels:
    if not isinstance(labels, dict) or not (labels.get(RESOURCE_ID) or labels.get(_OTHER_ID)):
        raise UnstorableValue(
            f"A {what} resource of event {name!r} is a dict with its id: {{{RESOURCE_ID!r}: 'shop.order.17'}}."
        )
    found = {str(key): str(value) for key, value in plain(labels, f"Event {name!r}").items()}
    if len(resource_id(found)) > MOST_NAME:
        raise UnstorableValue(f"The id of a resource has {MOST_NAME} characters at most.")
    return found


def _payload(payload: object, name: str) -> dict[str, Any]:
    if not isinstance(payload, dict):
        raise UnstorableValue(f"The payload of event {name!r} is a dict; this is {type(payload).__name__}.")
    value: dict[str, Any] = plain(payload, f"The payload of event {name!r}")
    return value
