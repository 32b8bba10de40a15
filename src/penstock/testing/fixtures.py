"""Fixtures for pytest, which finds them by itself where Penstock is installed.

Law: importing this costs nothing that a test which does not use it would notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..engine.clock import Clock
    from .clock import FakeClock
    from .harness import TestHarness


@pytest.fixture
def fake_clock() -> FakeClock:
    """The clock of this test's `penstock_harness`, if the test asks for both: it stands still, and nothing is waited
    for."""
    from .clock import FakeClock

    return FakeClock()


@pytest.fixture
def penstock_harness(request: pytest.FixtureRequest) -> Iterator[TestHarness[Clock]]:
    """A Penstock for this test alone; with the test's `fake_clock`, if it has one."""
    from .harness import test_harness

    clock = request.getfixturevalue("fake_clock") if "fake_clock" in request.fixturenames else None
    with test_harness(clock) as harness:
        yield harness


@pytest.fixture(scope="session")
def penstock_session_harness() -> Iterator[TestHarness[Clock]]:
    """One Penstock for all tests of a session that ask for it."""
    from .harness import test_harness

    harness: TestHarness[Clock]
    with test_harness() as harness:
        yield harness
