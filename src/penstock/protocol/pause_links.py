"""What can be asked about links by which people answer pauses without signing in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from ..domain.pauses import Pause, Verdict
from ..domain.runs import FlowRun
from .flow_runs import Comment
from .operation import Operation

# How long a link is good at most, and by itself: seconds.
MOST, USUAL = 366 * 86_400.0, 86_400.0
To = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class CreateLink(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A link that answers the run's next pause, or the pause `pause_id`, in the name of `to`: a name, `role:admin`, or
    `link`, which is whoever has it. It is good for one answer, and for `expires_in` seconds."""

    id: UUID
    to: To = "link"
    expires_in: Annotated[float, msgspec.Meta(ge=1, le=MOST)] = USUAL
    pause_id: UUID | None = None


class LinkMade(msgspec.Struct, kw_only=True):
    """The page is at `/decide/{token}` of the server. The token is in this answer only."""

    token: str
    to: str
    expires: datetime


class LookAtLink(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    token: Token


class LinkShown(msgspec.Struct, kw_only=True):
    """What a link is for; `pause` is null while the run does not wait for an answer."""

    to: str
    expires: datetime
    flow_name: str
    run_name: str
    state_name: str | None
    pause: Pause | None


class UseLink(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    token: Token
    verdict: Verdict = Verdict.APPROVE
    run_input: Any = None
    comment: Comment | None = None


CREATE_PAUSE_LINK = Operation(
    "create_pause_link", "POST", "/flow_runs/{id}/links", CreateLink, LinkMade,
    "Make a link by which somebody answers what a flow run waits for, without signing in.", secret=True, strict=True
)  # fmt: skip
# (The token is in no path: paths are logged on their way.)
READ_PAUSE_LINK = Operation(
    "read_pause_link", "POST", "/pause_links/read", LookAtLink, LinkShown, "Look what a link is for.", anyone=True,
    reads=True, secret=True,
)  # fmt: skip
USE_PAUSE_LINK = Operation(
    "use_pause_link", "POST", "/pause_links/use", UseLink, FlowRun,
    "Answer by a link: approve, resume or reject.", anyone=True, secret=True, strict=True
)  # fmt: skip
