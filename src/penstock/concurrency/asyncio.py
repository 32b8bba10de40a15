"""Concurrency limits for coroutines: `async with concurrency(…)`, `await rate_limit(…)`."""

from ..domain.errors import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from ..flows.concurrency import arate_limit as rate_limit
from ..flows.concurrency import concurrency

__all__ = ["AcquireConcurrencySlotTimeoutError", "ConcurrencySlotAcquisitionError", "concurrency", "rate_limit"]
