"""Links by which somebody answers what a flow run waits for, without signing in."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

from .. import connect
from ..domain.errors import ConfigurationError, MissingContextError
from ..domain.ids import parse_id
from ..engine.context import current, is_awaited
from ..protocol.pause_links import CREATE_PAUSE_LINK, USUAL, CreateLink
from ..settings import current as settings

WAY = "Python"


def create_link(flow_run_id: UUID | str | None = None, *, to: str = "link", expires_in: float = USUAL) -> Any:
    """A URL by which somebody answers what a flow run waits for, or will wait for next, without signing in: a page that
    shows what is asked, with a button to resume or approve it, and one to reject an approval.

    It answers once, in the name of `to`: a name, `role:operator`, or whoever has it, and is good for `expires_in`
    seconds (a day; at most 366). Whoever has it decides, so send it where only they read. `flow_run_id` is by itself
    the run that calls. In an asynchronous flow or task it is awaited.

    Raises `ConfigurationError` where neither PENSTOCK_UI_URL nor PENSTOCK_API_URL says where the server is,
    `MissingContextError` outside of a run, `ObjectNotFound`, and `TransitionRefused` for a run that has ended.

    Example::

        url = create_link(to="ann", expires_in=3600)
    """
    context = current.get()
    if flow_run_id is not None:
        id = parse_id(flow_run_id)
    else:
        flow = None if context is None else context.flow_context
        if flow is None:
            raise MissingContextError("There is no flow run here: give the flow_run_id of the one that is to go on.")
        connect.settle()
        id = flow.run.id
    work = partial(make_link, id, to, expires_in)
    return asyncio.to_thread(work) if is_awaited(context) else work()


def make_link(id: UUID, to: str, expires_in: float, pause_id: UUID | None = None, way: str = WAY) -> str:
    base = settings().ui_url
    if base is None:
        raise ConfigurationError(
            "Nobody could open the link: set PENSTOCK_UI_URL to the address of the server that people reach "
            "(PENSTOCK_API_URL is one, too)."
        )
    query = CreateLink(id=id, to=to, expires_in=expires_in, pause_id=pause_id)
    made = connect.call(CREATE_PAUSE_LINK, query, way=way)
    return f"{base.rstrip('/')}/decide/{made.token}"
