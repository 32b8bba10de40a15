"""Closing runs whose process is gone."""

from __future__ import annotations

from datetime import timedelta

from ...store import holders
from .. import rescue
from ..desk import Desk

# A process that reports to a server cannot keep its lease while there is none: nobody is taken for dead before it had
# the time to be heard again.
GRACE = timedelta(seconds=60)


def once(desk: Desk) -> None:
    rescue.rescue(desk.store, desk.lives, desk.now)


def begin(desk: Desk) -> None:
    """When there was nobody to hear of processes for a while: their leases are good for a while longer."""
    with desk.store.write() as tx:
        holders.extend(tx, desk.now() + GRACE)
