"""`prefect.testing.utilities`: the harness under Prefect's name."""

from __future__ import annotations

from typing import Any

from ..testing import test_harness


def prefect_test_harness(server_startup_timeout: int | None = 30) -> Any:
    """`penstock.testing.test_harness`; there is no server that starts, so nothing to be patient with."""
    return test_harness()
