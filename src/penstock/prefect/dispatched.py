"""Functions that Prefect's code awaits in coroutines and calls elsewhere, under one name.

Law: in a coroutine they give something to be awaited, elsewhere the value; which of both, is told as Prefect does: by
whether the caller is asynchronous.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from .. import artifacts
from ..engine.context import current, is_awaited
from ..variables import Variable

Plain = Callable[..., Any]


# In a thread that works for a coroutine: what is called there is called, and not awaited.
_beside: ContextVar[bool] = ContextVar("penstock_prefect_beside", default=False)


def dispatched(fn: Plain) -> Plain:
    """A function that is awaited in coroutines."""

    @functools.wraps(fn)
    def either(*args: Any, **kwargs: Any) -> Any:
        if is_awaited(current.get()) and not _beside.get():
            return asyncio.to_thread(plainly, fn, *args, **kwargs)
        return fn(*args, **kwargs)

    return either


def plainly(fn: Plain, *args: Any, **kwargs: Any) -> Any:
    """Calls a function in another thread, on behalf of a coroutine."""
    token = _beside.set(True)
    try:
        return fn(*args, **kwargs)
    finally:
        _beside.reset(token)


create_image_artifact = dispatched(artifacts.create_image_artifact)
create_link_artifact = dispatched(artifacts.create_link_artifact)
create_markdown_artifact = dispatched(artifacts.create_markdown_artifact)
create_progress_artifact = dispatched(artifacts.create_progress_artifact)
create_table_artifact = dispatched(artifacts.create_table_artifact)
update_progress_artifact = dispatched(artifacts.update_progress_artifact)


def get(name: str, default: Any = None) -> Any:
    """`prefect.variables.get` of Prefect 2: a variable's value, or the default. (Awaited in coroutines, as
    `Variable.get` is: see `habits`.)"""
    return Variable.get(name, default=default)
