"""Sending what automations are to tell: by blocks of the record, from the server's own process.

Law: a service that answers late, or not, keeps nothing else waiting; what could not be delivered is on the firing.
"""

from __future__ import annotations

import logging
from typing import Any

from ..domain.automations import Firing, Notify, filled, message
from ..domain.errors import PenstockError, UnreadableBlock
from ..services import automations, block_documents
from ..services.desk import Desk
from ..services.loops import Loop

LEAD = "notifications"

_log = logging.getLogger("penstock.server")


def once(desk: Desk) -> None:
    for firing in automations.to_do(desk.store, notifications=True):
        try:
            outcome, failed = _deliver(desk, firing), False
        except PenstockError as error:
            outcome, failed = str(error), True
        except Exception as error:  # of a block's own code: it is not tried again and again
            _log.exception("a notification of automation %s failed", firing.automation)
            outcome, failed = f"{type(error).__name__}: {error}", True
        automations.settle(desk.store, firing, outcome, failed=failed, now=desk.now())


def _deliver(desk: Desk, firing: Firing) -> str:
    from ..blocks import core
    from ..blocks.notifications import NotificationBlock

    action = firing.action
    assert isinstance(action, Notify)
    slug, _, name = action.block.partition("/")
    kind: Any = core.block_type(slug)
    if not issubclass(kind, NotificationBlock):
        raise UnreadableBlock(f"Block {action.block!r} is no notification block: it can tell nobody anything.")
    document = block_documents.get(desk.store, slug, name)
    block = kind.of_fields(block_documents.opened(document, desk.vault), document.address)
    subject = None if action.subject is None else filled(action.subject, firing.about)
    block.deliver(message(action, firing.about), subject)
    return f"{action.block} was told."


LOOPS = (Loop("notifications", once, 0.25),)
