"""Links by which people answer pauses without signing in: making one, looking what it is for, answering by it.

Law: the secret of a link has 256 random bits, so it can be neither guessed nor forged, and a plain digest keeps it. It
is spent in the transaction that decides: of two who use it, one does.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from ..domain.errors import LinkRefused, ObjectNotFound, TransitionRefused
from ..domain.pause_links import PauseLink, Use
from ..domain.pauses import Pause, Verdict
from ..domain.reopening import called
from ..domain.runs import FlowRun
from ..store import flow_runs, pause_links, pauses
from ..store.contract import Store, Tx
from . import pausing, rescue


def create(
    store: Store, run_id: UUID, *, to: str, who: str, seconds: float, pause_id: UUID | None, now: datetime
) -> tuple[PauseLink, str]:
    """A link for one answer, and its secret, which nobody can have again.

    Raises `ObjectNotFound`, and `TransitionRefused` for a run that has ended, or a pause that is over.
    """
    text = secrets.token_urlsafe(32)
    with store.write() as tx:
        run = _run(tx, run_id)
        if run.state.is_final():
            raise TransitionRefused(f"{called(run)} is {run.state_name}: nobody can answer it any more.")
        if pause_id is not None:
            pause = pauses.get(tx, pause_id)
            if pause is None or pause.flow_run_id != run_id:
                raise ObjectNotFound(f"Pause '{pause_id}' of {called(run)} not found!")
            if pause.is_over(now):
                raise TransitionRefused(f"{called(run)} does not wait for this answer any more.")
        expires = now + timedelta(seconds=seconds)
        link = PauseLink(flow_run_id=run_id, to=to, who=who, created=now, expires=expires, pause_id=pause_id)
        pause_links.put(tx, _digest(text), link)
    return link, text


class Shown(msgspec.Struct, frozen=True):
    """What somebody with a link is shown. `pause` is None where the run waits for no answer that the link could be."""

    link: PauseLink
    run: FlowRun
    pause: Pause | None


def look(store: Store, text: str, now: datetime) -> Shown:
    """What a link is for. Looking spends nothing: programs that preview links do. Raises `LinkRefused`."""
    with store.read() as tx:
        link = _link(tx, text, now)
        run = flow_runs.get(tx, link.flow_run_id)
        if run is None:
            raise LinkRefused("The flow run that this link was for is deleted.")
        return Shown(link, run, _pause(tx, link, now))


def use(
    store: Store, text: str, verdict: Verdict, *, now: datetime, lives: rescue.Lives, address: str = "",
    input: Any = None, comment: str | None = None,
) -> FlowRun:  # fmt: skip
    """Answers by a link: the run as it is then. The link is spent, unless this raises.

    Raises `LinkRefused` for one that is not good (any more), `NotPausedError` where the run does not wait for it, and
    what `pausing.decide` raises.
    """
    with store.write() as tx:
        link = _link(tx, text, now)
        if link.pause_id is not None and _pause(tx, link, now) is None:
            raise LinkRefused("What this link was to answer is answered, or its time is over.")
        at = f" at {address}" if address else ""
        by = pausing.Person(link.name, f"{link.name}{at} via link (made by {link.who})", link.role, by_link=True)
        run = pausing.decide_in(
            tx, link.flow_run_id, verdict, by, now=now, lives=lives, input=input, comment=comment
        )  # fmt: skip
        link.used = Use(verdict, now, comment)
        pause_links.put(tx, _digest(text), link)
        return run


def _link(tx: Tx, text: str, now: datetime) -> PauseLink:
    link = pause_links.get(tx, _digest(text))
    if link is None:
        raise LinkRefused("There is no such link. Was it copied whole?")
    if link.used is not None:
        verb = "approved" if link.used.verdict is Verdict.APPROVE else "rejected"
        raise LinkRefused(f"This link was used at {link.used.at:%Y-%m-%d %H:%M:%S} UTC: it {verb}.")
    if link.expires <= now:
        raise LinkRefused(f"This link was good until {link.expires:%Y-%m-%d %H:%M:%S} UTC.")
    return link


def _pause(tx: Tx, link: PauseLink, now: datetime) -> Pause | None:
    pause = pauses.open_of(tx, link.flow_run_id) if link.pause_id is None else pauses.get(tx, link.pause_id)
    return None if pause is None or pause.is_over(now) else pause


def _run(tx: Tx, run_id: UUID) -> FlowRun:
    run = flow_runs.get(tx, run_id)
    if run is None:
        raise ObjectNotFound(f"Flow run '{run_id}' not found!")
    return run


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
