"""Variables: JSON values under names."""

from .flows.variables import Variable

__all__ = ["Variable"]
