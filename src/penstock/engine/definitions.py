"""What the engine needs to know of a flow or a task: the options its author gave. `flows/` makes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

Hook = Callable[..., Any]


class Definition(Protocol):
    """What flows and tasks have in common. Hooks are called with (definition, run, state)."""

    name: str
    fn: Callable[..., Any]
    version: str | None
    isasync: bool
    isgenerator: bool
    retries: int | None
    retry_delay_seconds: Any
    timeout_seconds: float | None
    log_prints: bool | None
    persist_result: bool | None
    result_storage: Any
    result_serializer: Any
    on_completion_hooks: list[Hook]
    on_failure_hooks: list[Hook]
    on_running_hooks: list[Hook]

    @property
    def bind(self) -> Callable[..., dict[str, Any]]:
        """The call's arguments by the names of the function's parameters; TypeError when they do not fit."""


class TaskDefinition(Definition, Protocol):
    """A task, as the engine sees it."""

    task_key: str
    tags: frozenset[str]
    # a submitted run of it is not stopped with its flow
    detach: bool
    task_run_name: str | Callable[..., str] | None
    retry_jitter_factor: float | None
    retry_condition_fn: Callable[..., Any] | None
    cache_policy: Any
    # of a method, its instance under the name of its parameter; else nothing
    bound_to: dict[str, Any]
    cache_expiration: timedelta | None
    refresh_cache: bool | None
    result_storage_key: str | Callable[..., str] | None


class FlowDefinition(Definition, Protocol):
    """A flow, as the engine sees it."""

    flow_run_name: str | Callable[..., str] | None
    capture: str | None
    tags: frozenset[str]
    task_runner: Any
    validate_parameters: bool
    on_cancellation_hooks: list[Hook]
    on_crashed_hooks: list[Hook]

    def check_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters, coerced to their annotations; raises `ParameterTypeError`."""
