"""Who may ask for what: roles, as data."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A viewer looks; an operator also starts, stops and changes runs and what they use; an admin also decides who may
    do so, and keeps the record."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether whoever has this role may do what that one may."""
        return _ORDER[self] >= _ORDER[other]


VIEWER, OPERATOR, ADMIN = Role.VIEWER, Role.OPERATOR, Role.ADMIN
_ORDER = {VIEWER: 0, OPERATOR: 1, ADMIN: 2}
