"""Only the import that every program begins with."""

import ray

__all__ = ["ray"]
