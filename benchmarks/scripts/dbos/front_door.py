"""Only the import that every program begins with."""

from dbos import DBOS

__all__ = ["DBOS"]
