"""Concurrency limits for code that does not await."""

from ..domain.errors import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from ..flows.concurrency import concurrency, rate_limit

__all__ = ["AcquireConcurrencySlotTimeoutError", "ConcurrencySlotAcquisitionError", "concurrency", "rate_limit"]
