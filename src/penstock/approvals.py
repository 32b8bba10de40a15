"""Steps that people approve, and links by which they answer."""

from .flows.approving import Approval, require_approval
from .flows.decision_links import create_link

__all__ = ["Approval", "create_link", "require_approval"]
