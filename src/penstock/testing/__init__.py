"""Tests of flows and tasks: a record in memory, a clock that does not wait, and people who answer at once."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clock import FakeClock as FakeClock
    from .doubles import Crash as Crash
    from .harness import TestHarness as TestHarness
    from .harness import test_harness as test_harness
    from .harness import wait_until as wait_until

_PLACES = {
    "Crash": "doubles",
    "FakeClock": "clock",
    "TestHarness": "harness",
    "test_harness": "harness",
    "wait_until": "harness",
}
__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module 'penstock.testing' has no attribute {name!r}")
    value = getattr(import_module(f"penstock.testing.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
