"""Answers about links by which people answer pauses."""

from __future__ import annotations

from ...domain.runs import FlowRun
from ...protocol import pause_links as asked
from .. import pause_links
from ..desk import Desk, answers
from .flow_runs import in_list


@answers(asked.CREATE_PAUSE_LINK)
def create_pause_link(desk: Desk, query: asked.CreateLink) -> asked.LinkMade:
    link, token = pause_links.create(
        desk.store, query.id, to=query.to, who=desk.who, seconds=query.expires_in, pause_id=query.pause_id,
        now=desk.now(),
    )  # fmt: skip
    return asked.LinkMade(token=token, to=link.to, expires=link.expires)


@answers(asked.READ_PAUSE_LINK)
def read_pause_link(desk: Desk, query: asked.LookAtLink) -> asked.LinkShown:
    shown = pause_links.look(desk.store, query.token, desk.now())
    return asked.LinkShown(
        to=shown.link.to, expires=shown.link.expires, flow_name=shown.run.flow_name, run_name=shown.run.name,
        state_name=shown.run.state_name, pause=shown.pause,
    )  # fmt: skip


@answers(asked.USE_PAUSE_LINK)
def use_pause_link(desk: Desk, query: asked.UseLink) -> FlowRun:
    address = desk.asker.address if desk.asker is not None else ""
    run = pause_links.use(
        desk.store, query.token, query.verdict, now=desk.now(), lives=desk.lives, address=address,
        input=query.run_input, comment=query.comment,
    )  # fmt: skip
    found: FlowRun = in_list(run)
    return found
