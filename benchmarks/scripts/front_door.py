"""Only the import that every program begins with."""

from penstock import flow, task

__all__ = ["flow", "task"]
