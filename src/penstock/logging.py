"""Loggers of runs, and what they must not say."""

from .engine.masking import mask_pattern, mask_secret
from .flows.run_logger import disable_run_logger, flow_run_logger, get_logger, get_run_logger, task_run_logger

__all__ = [
    "disable_run_logger",
    "flow_run_logger",
    "get_logger",
    "get_run_logger",
    "mask_pattern",
    "mask_secret",
    "task_run_logger",
]
