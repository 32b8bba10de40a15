"""Planning what schedules and backfills want, and saying what is late."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from ...domain.errors import RecordError
from ...store.contract import Store
from .. import backfills, scheduling
from ..desk import Desk

_log = logging.getLogger("penstock.server")
STEPS: tuple[Callable[[Store, datetime], object], ...] = (scheduling.plan, backfills.go_on, scheduling.mark_late)


def once(desk: Desk) -> None:
    """One that fails does not keep the others from their work."""
    for step in STEPS:
        try:
            step(desk.store, desk.now())
        except RecordError:
            raise
        except Exception:
            _log.exception("%s failed; it is tried again", step.__name__)
