"""Limits on how many do something at once, and on how often it is done."""

from ..domain.errors import AcquireConcurrencySlotTimeoutError, ConcurrencyError, ConcurrencySlotAcquisitionError
from ..flows.concurrency import arate_limit, concurrency, rate_limit
from . import asyncio as asyncio
from . import sync as sync

__all__ = [
    "AcquireConcurrencySlotTimeoutError",
    "ConcurrencyError",
    "ConcurrencySlotAcquisitionError",
    "arate_limit",
    "concurrency",
    "rate_limit",
]
