"""What flows ask of people."""

from .flows.run_input import RunInput

__all__ = ["RunInput"]
