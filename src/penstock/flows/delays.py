"""Delays between retries, as functions."""

from __future__ import annotations

from collections.abc import Callable


def exponential_backoff(backoff_factor: float) -> Callable[[int], list[float]]:
    """For `retry_delay_seconds`: each delay is twice the one before.

    Example: `@task(retries=3, retry_delay_seconds=exponential_backoff(10))` waits 10, 20 and 40 seconds.
    """

    def delays(retries: int) -> list[float]:
        return [backoff_factor * 2**number for number in range(retries)]

    return delays
