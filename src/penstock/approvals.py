"""Steps that people approve."""

from .flows.approving import Approval, require_approval

__all__ = ["Approval", "require_approval"]
