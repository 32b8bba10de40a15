"""Fixtures of runs, and a process that knows no secrets yet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.blocks import core, secrets
from penstock.domain.masking import Masker

from ..flows.fixtures import disconnected, programs, record, threads_allowed

__all__ = ["disconnected", "programs", "record", "threads_allowed"]


@pytest.fixture(autouse=True)
def masker(monkeypatch: pytest.MonkeyPatch) -> Masker:
    """The mask that blocks tell their secrets to in this test."""
    made = Masker()
    monkeypatch.setattr(secrets, "MASKER", made)
    return made


@pytest.fixture(autouse=True)
def types_of_this_test() -> Iterator[None]:
    """Types that a test defines are forgotten with it."""
    before = dict(core._types)
    yield
    core._types.clear()
    core._types.update(before)
