"""Tasks, and functions for their options."""

from .engine.caching import task_input_hash
from .flows.delays import exponential_backoff
from .flows.task import Task, task

__all__ = ["Task", "exponential_backoff", "task", "task_input_hash"]
