"""Inputs that are sent to a flow run while it runs, by other runs or by people."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from .errors import UnstorableValue
from .plain import check_size, check_text, plain

MOST_KEY, MOST_SENDER, MOST_BYTES = 255, 255, 250_000
# So many may be sent to one run.
MOST = 100_000


class SentInput(msgspec.Struct, kw_only=True, frozen=True):
    """The `seq`-th input of a flow run. `key` says what it is (its type, by itself), `value` is JSON, `sender` who sent
    it: `flow-run ID`, or what they called themselves; `who` is who that was, as the record knows it."""

    flow_run_id: UUID
    seq: int
    key: str
    value: Any
    at: datetime
    sender: str | None = None
    who: str = ""


def checked(sent: SentInput) -> SentInput:
    """As it can be kept. Raises `UnstorableValue`."""
    key = check_text(sent.key, "The key of an input", MOST_KEY)
    if not key:
        raise UnstorableValue("The key of an input is a text: what it is.")
    value = plain(sent.value, "An input")
    check_size(value, "An input", MOST_BYTES, "Keep the rest in a file, and send where it is.")
    return msgspec.structs.replace(
        sent, key=key, value=value, sender=check_text(sent.sender, "The sender of an input", MOST_SENDER)
    )
