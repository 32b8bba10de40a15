"""Futures of submitted tasks."""

from .engine.futures import DoneAndNotDoneFutures, PenstockFuture, PenstockFutureList, as_completed, wait

__all__ = ["DoneAndNotDoneFutures", "PenstockFuture", "PenstockFutureList", "as_completed", "wait"]
