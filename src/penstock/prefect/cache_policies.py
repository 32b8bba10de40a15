"""Cache policies as Prefect's code writes its own: `compute_key(self, task_ctx, inputs, flow_parameters, **kwargs)`."""

from __future__ import annotations

from typing import Any

from ..engine.caching import CachePolicy as Ours
from ..engine.context import TaskRunContext


class CachePolicy(Ours):
    """To be subclassed: `compute_key` is called with what Prefect calls it with."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        theirs = cls.__dict__.get("compute_key")
        if theirs is not None:
            cls.compute_key = _called(theirs)  # type: ignore[method-assign]


def _called(theirs: Any) -> Any:
    def compute_key(self: Any, context: TaskRunContext, inputs: dict[str, Any]) -> str | None:
        flow = context.flow_context
        key: str | None = theirs(
            self, task_ctx=context, inputs=inputs, flow_parameters={} if flow is None else flow.parameters
        )
        return key

    return compute_key
