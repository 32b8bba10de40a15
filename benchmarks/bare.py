"""Stands in for the product when a workload is measured without one: the same calls, and nothing else happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Function = Callable[..., Any]
# Nothing is logged, and nothing masked.
logging = None


class Done:
    """The value of a call that is already over."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def result(self) -> Any:
        return self.value


def task(fn: Function) -> Function:
    """The function itself, which can also be submitted and mapped."""

    def submit(*args: Any) -> Done:
        return Done(fn(*args))

    def map_(values: Iterable[Any]) -> Done:
        return Done([fn(value) for value in values])

    def stream(values: Iterable[Any], chunk_size: int = 1) -> Iterable[Done]:
        return (Done(fn(value)) for value in values)

    fn.stream = stream  # type: ignore[attr-defined]
    fn.submit = submit  # type: ignore[attr-defined]
    fn.map = map_  # type: ignore[attr-defined]
    return fn


def flow(fn: Function | None = None, log_prints: bool = False) -> Any:
    """The function itself."""
    return fn if fn is not None else flow
