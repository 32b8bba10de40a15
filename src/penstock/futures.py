"""Futures of submitted tasks."""

from .engine.futures import DoneAndNotDoneFutures, PenstockFuture, PenstockFutureList, as_completed, wait
from .flows.mapping import PenstockFutureStream

__all__ = [
    "DoneAndNotDoneFutures",
    "PenstockFuture",
    "PenstockFutureList",
    "PenstockFutureStream",
    "as_completed",
    "wait",
]
