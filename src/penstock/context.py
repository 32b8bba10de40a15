"""The run that the calling code is in."""

from .engine.context import FlowRunContext, TaskRunContext, get_run_context
from .flows.tagging import tags

__all__ = ["FlowRunContext", "TaskRunContext", "get_run_context", "tags"]
