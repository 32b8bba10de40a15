"""`require_approval`: a step of a flow that waits until people have approved it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import msgspec

from ..domain.errors import ApprovalRejected, PenstockError
from ..domain.pause_links import ANYONE_WITH_LINK
from ..domain.pauses import Decision, Outcome, Pause
from ..engine.attempts import WARNING
from ..engine.context import FlowRunContext
from ..engine.pausing import Answered, Wish
from ..engine.runlog import say
from ..protocol.pause_links import MOST, USUAL
from ..settings import current
from .decision_links import make_link
from .pausing import TIMEOUT, begin, check_timeout, wish_of

MOST_APPROVERS, MOST_QUORUM = 100, 100


class Approval(msgspec.Struct, frozen=True):
    """What people decided: `approved`, by whom (`decisions`: `name`, `who`, `at`, `verdict`, `comment`), and the input
    that was asked for. `who` is None where the time limit decided."""

    approved: bool
    who: str | None
    comment: str | None
    decisions: tuple[Decision, ...]
    input: Any = None


def require_approval(
    text: str,
    *,
    approvers: Iterable[str] = (),
    quorum: int = 1,
    wait_for_input: Any = None,
    timeout: float | None = TIMEOUT,
    on_timeout: str = "fail",
    default: Any = None,
    key: str | None = None,
    notify: Any = (),
    remind_every: float | None = None,
    links: bool = False,
    raise_on_rejection: bool = True,
    suspend: bool = False,
) -> Any:
    """Has the flow run wait until people have approved `text`, which is what they read; gives the `Approval`.

    `approvers` may decide: names of users, or `role:operator`; without any, all who may write to the record.
    `quorum` of them have to approve, each decides once, and one who rejects is enough: then `ApprovalRejected` is
    raised, or with `raise_on_rejection=False` the approval is not `approved`. `wait_for_input`, `timeout`, `key` and
    `default` are those of `pause_flow_run`; when the time is over, `on_timeout` is fail, approve or reject. `notify`
    are notification blocks that are told, and again every `remind_every` seconds; with `links`, they get a link for
    each of the approvers, by which that one decides once, without signing in: whoever reads the message can. `"link"`
    among the approvers is whoever has one. With `suspend` no process waits.

    In an asynchronous flow or task it is awaited. Raises what `pause_flow_run` raises, and `ApprovalRejected`.

    Example::

        approval = require_approval("Delete 3 TB of logs?", approvers=["ann", "role:admin"], timeout=3600)
        print(approval.who, approval.comment)
    """
    ask = partial(
        _wish, text, tuple(approvers) if not isinstance(approvers, str) else (approvers,), quorum, wait_for_input,
        timeout, on_timeout, default, key, notify, remind_every, links,
    )  # fmt: skip
    return begin(ask, suspends=suspend, take=partial(_approval, raise_on_rejection))


def _wish(
    text: Any, approvers: tuple[Any, ...], quorum: Any, wait_for_input: Any, timeout: Any, on_timeout: Any,
    default: Any, key: Any, notify: Any, remind_every: Any, links: bool, flow: FlowRunContext,
) -> Wish:  # fmt: skip
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"text is what people are to approve; it is {text!r:.40}.")
    if len(approvers) > MOST_APPROVERS or not all(isinstance(each, str) and each for each in approvers):
        raise ValueError(f"approvers are up to {MOST_APPROVERS} names; they are {approvers!r:.80}.")
    if isinstance(quorum, bool) or not isinstance(quorum, int) or not 1 <= quorum <= MOST_QUORUM:
        raise ValueError(f"quorum is a whole number from 1 to {MOST_QUORUM}; it is {quorum!r:.40}.")
    if approvers and quorum > len(approvers) and not any(each.startswith("role:") for each in approvers):
        raise ValueError(f"quorum is {quorum}, and there are {len(approvers)} approvers: it would never be reached.")
    wish = wish_of(
        wait_for_input, timeout, key, "resume" if on_timeout == "approve" else on_timeout, default, text, flow
    )
    every = check_timeout(remind_every, "remind_every")
    if every is not None and every < 1:
        raise ValueError(f"remind_every is at least a second; it is {remind_every!r:.40}.")
    blocks = notify if isinstance(notify, Sequence) else [notify]
    if links and not blocks:
        raise ValueError("links are sent with a notification: say to whom by notify=, or make one by create_link().")
    return msgspec.structs.replace(
        wish,
        approval=True,
        approvers=approvers,
        quorum=quorum,
        tell=partial(_tell, list(blocks), flow, {} if links else None) if blocks else None,
        tell_every=every,
    )


def _tell(blocks: list[Any], flow: FlowRunContext, links: dict[str, str] | None, pause: Pause) -> None:
    run, ui = flow.run, current().ui_url
    until = "" if pause.deadline is None else f" until {pause.deadline:%Y-%m-%d %H:%M} UTC"
    lines = [
        pause.text or "", "", f"Flow run {run.name!r} waits for an approval{until}.",
        f"penstock approval approve {run.id}",
    ]  # fmt: skip
    if ui is not None:
        lines.append(f"{ui}/flow-runs/flow-run/{run.id}")
    if links is not None:
        lines += _links(flow, links, pause)
    for block in blocks:
        block._notify("\n".join(lines), f"{run.flow_name}: approval wanted")


def _links(flow: FlowRunContext, links: dict[str, str], pause: Pause) -> list[str]:
    """One for each approver. Who is reminded gets the same again."""
    seconds = USUAL if pause.deadline is None else (pause.deadline - flow.runtime.clock.now()).total_seconds()
    try:
        for to in pause.approvers or (ANYONE_WITH_LINK,):
            if to not in links:
                links[to] = make_link(flow.run.id, to, min(max(seconds, 1.0), MOST), pause.id)
    except PenstockError as error:  # the run waits all the same, and can be decided otherwise
        say(flow, WARNING, f"No link could be made by which to decide: {error}")
    return [f"{'Decide' if to == ANYONE_WITH_LINK else to}: {url}" for to, url in links.items()]


def _approval(raises: bool, answered: Answered) -> Approval:
    pause, answer = answered.pause, answered.pause.answer
    assert answer is not None
    approved = answer.outcome is Outcome.RESUMED
    if not approved and raises:
        comment = "" if answer.comment is None else f" {answer.comment}"
        raise ApprovalRejected(f"Rejected by {answer.who}.{comment}")
    return Approval(approved, answer.who, answer.comment, pause.decisions, answered.value)
