"""Answers about backfills."""

from __future__ import annotations

from ...domain.backfills import Backfill
from ...protocol import backfills as asked
from ...protocol.operation import Page
from ...protocol.paging import after, id_in
from .. import backfills
from ..desk import Desk, answers


@answers(asked.CREATE_BACKFILL)
def create_backfill(desk: Desk, query: asked.CreateBackfill) -> Backfill:
    return backfills.create(desk.store, query, who=desk.who, now=desk.now())


@answers(asked.FILTER_BACKFILLS)
def filter_backfills(desk: Desk, query: asked.FilterBackfills) -> Page[Backfill]:
    found = backfills.select(desk.store, query.limit, query.deployment_id, id_in(query.cursor))
    return Page(items=found, next=after(found[-1].id) if len(found) == query.limit else None)


@answers(asked.READ_BACKFILL)
def read_backfill(desk: Desk, query: asked.BackfillById) -> Backfill:
    return backfills.get(desk.store, query.id)


@answers(asked.CANCEL_BACKFILL)
def cancel_backfill(desk: Desk, query: asked.BackfillById) -> Backfill:
    return backfills.cancel(desk.store, query.id, who=desk.who, now=desk.now(), lives=desk.lives)
