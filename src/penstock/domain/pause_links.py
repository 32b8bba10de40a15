"""Links by which somebody answers a pause without signing in: whose each is, how long it is good, and what it did.

Law: a link is good for one answer. Its secret is seen once, by whoever made it, and what it did is on it.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from .pauses import Verdict

# In an approval's `approvers`: whoever has a link.
ANYONE_WITH_LINK = "link"
ROLE = "role:"


class Use(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was decided by the link."""

    verdict: Verdict
    at: datetime
    comment: str | None = None


class PauseLink(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A link `to` somebody (a name, `role:admin`, or `link`: whoever has it), that was made by `who`. It answers the
    pause `pause_id`, or, without one, the next that its run comes to."""

    flow_run_id: UUID
    to: str
    who: str
    created: datetime
    expires: datetime
    pause_id: UUID | None = None
    used: Use | None = None

    @property
    def name(self) -> str:
        """Who decides by it, as decisions have names."""
        return f"whoever had a link to {self.to}" if self.to.startswith(ROLE) else self.to

    @property
    def role(self) -> str:
        return self.to.removeprefix(ROLE) if self.to.startswith(ROLE) else ""
