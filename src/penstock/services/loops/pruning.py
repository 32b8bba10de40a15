"""Forgetting what is kept for a while only: changes that streams could resume from, answers that were given, leases of
processes that have ended."""

from __future__ import annotations

from datetime import timedelta

from ...store import answered, changes, codec, holders
from ..desk import Desk

CHANGES_KEPT = timedelta(hours=24)
# So many are kept however old they are: a quiet record's streams can resume.
LEAST_CHANGES = 1_000
ANSWERS_KEPT = timedelta(hours=24)
LEASES_KEPT = timedelta(hours=24)
# Rows at once, so that nobody waits for long.
PIECE = 2_000


def once(desk: Desk) -> None:
    now = desk.now()
    while True:
        with desk.store.write() as tx:
            gone = changes.prune(tx, codec.exact_micros(now - CHANGES_KEPT), LEAST_CHANGES, PIECE)
            gone_too = answered.prune(tx, now - ANSWERS_KEPT, PIECE)
            # A process that ends in peace says no word: its lease ends by itself.
            ended = holders.prune(tx, now - LEASES_KEPT, PIECE)
        if gone < PIECE and gone_too < PIECE and ended < PIECE:
            return
