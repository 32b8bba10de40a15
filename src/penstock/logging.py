"""Loggers of runs."""

from .flows.run_logger import get_logger, get_run_logger

__all__ = ["get_logger", "get_run_logger"]
