"""What users write: flows and tasks, and what they call inside them. Imports nothing heavy until a flow runs."""

from .flow import Flow, flow
from .task import Task, task

__all__ = ["Flow", "Task", "flow", "task"]
