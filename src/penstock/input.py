"""What flows ask of people, and what runs send each other."""

from .flows.run_input import RunInput
from .flows.sent_inputs import InputMetadata, Received, asend_input, receive_input, send_input

__all__ = ["InputMetadata", "Received", "RunInput", "asend_input", "receive_input", "send_input"]
