"""What the two decorators share: looking at the function, checking the options. Light, for it is always imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, partialmethod
from typing import Any

from ..domain.errors import DefinitionError, ReservedArgumentError

GENERATOR, COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x200
RESERVED = {"return_state", "wait_for"}
HOOKS = ("on_completion", "on_failure", "on_cancellation", "on_crashed", "on_running")


class Decorated:
    """What a decorator made of a function, `fn`: a flow or a task."""

    is_flow = False


def code_of(fn: Any) -> Any:
    """The code object behind a function, a method, a partial or a callable object; None for what is written in C."""
    while True:
        inside = getattr(fn, "__dict__", None) or {}  # (an object that has any attribute it is asked for, has no end)
        if "__wrapped__" in inside:
            fn = inside["__wrapped__"]
        elif isinstance(fn, partial | partialmethod):
            fn = fn.func
        else:
            break
    code = getattr(fn, "__code__", None)
    return code if code is not None else getattr(getattr(type(fn), "__call__", None), "__code__", None)  # noqa: B004


def plain_doc(fn: Any) -> str | None:
    """A function's docstring without its indentation."""
    text = getattr(fn, "__doc__", None)
    if not isinstance(text, str):
        return None
    first, *rest = text.expandtabs().splitlines() or [""]
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return "\n".join([first.strip(), *(line[margin:].rstrip() for line in rest)]).strip() or None


def kind_of(fn: Any) -> tuple[bool, bool]:
    """(asynchronous, generator)."""
    code = code_of(fn)
    flags = 0 if code is None else code.co_flags
    return bool(flags & (COROUTINE | ASYNC_GENERATOR)), bool(flags & (GENERATOR | ASYNC_GENERATOR))


def check_function(fn: Any, decorator: str) -> str:
    """The name of a function to decorate. Raises `DefinitionError` for what cannot be called, and
    `ReservedArgumentError` for a parameter with a name that calls need for themselves."""
    if isinstance(fn, classmethod | staticmethod):
        kind = type(fn).__name__
        raise DefinitionError(f"Put @{kind} above @{decorator}, not below it: @{decorator} decorates functions.")
    if not callable(fn):
        raise DefinitionError(f"@{decorator} decorates functions; it was given {fn!r}. Options go by name.")
    name: str = getattr(fn, "__name__", None) or type(fn).__name__
    code = code_of(fn)
    if code is not None:
        count = code.co_argcount + code.co_kwonlyargcount
        taken = RESERVED.intersection(code.co_varnames[:count])
        if taken:
            raise ReservedArgumentError(
                f"{decorator} {name!r} has a parameter named {min(taken)!r}, an option of every call. Rename it."
            )
    return name


def check_hooks(hooks: Iterable[Callable[..., Any]] | None, of: str, parameter: str) -> list[Callable[..., Any]]:
    """A list of functions; raises `DefinitionError` that names what is not one."""
    if hooks is None:
        return []
    if callable(hooks):
        raise DefinitionError(f"{parameter} of {of} must be a list of functions: write {parameter}=[{_named(hooks)}].")
    made: list[Any] = list(hooks) if hasattr(hooks, "__iter__") else [hooks]
    for hook in made:
        if not callable(hook):
            raise DefinitionError(f"{parameter} of {of} must be a list of functions; {hook!r} is not one.")
    return made


def _named(fn: Any) -> str:
    return getattr(fn, "__name__", "...")


def check_text(value: Any, of: str, parameter: str) -> str | None:
    """Text that is not empty, or None."""
    if value is None or (isinstance(value, str) and value.strip() and _encodable(value)):
        return value
    raise DefinitionError(f"{parameter} of {of} must be text that is not empty; it is {value!r}.")


def _encodable(text: str) -> bool:
    """Half characters (lone surrogates) cannot be written anywhere."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_storage(value: Any, of: str) -> Any:
    """A folder, or an object that knows its own (`basepath`)."""
    if value is None or isinstance(value, str) or hasattr(value, "__fspath__") or hasattr(value, "basepath"):
        return value
    raise DefinitionError(f"result_storage of {of} must be a folder; it is {value!r}.")


def check_tags(tags: Iterable[str] | None, of: str) -> frozenset[str]:
    """A set of texts."""
    if isinstance(tags, str):
        raise DefinitionError(f"tags of {of} must be several texts: write tags=[{tags!r}].")
    if tags is not None and not hasattr(tags, "__iter__"):
        raise DefinitionError(f"tags of {of} must be several texts; it is {tags!r}.")
    made: frozenset[Any] = frozenset(tags or ())
    for tag in made:
        if not isinstance(tag, str) or not tag or not _encodable(tag):
            raise DefinitionError(f"tags of {of} must be texts; {tag!r} is not one.")
    return made


def check_capture(log_prints: Any, capture: Any, of: str) -> tuple[bool | None, str | None]:
    """`log_prints` and `capture`, which go together."""
    checked = check_bool(log_prints, of, "log_prints")
    if capture not in (None, "prints", "all"):
        raise DefinitionError(f'capture of {of} must be "prints" or "all"; it is {capture!r}.')
    if capture == "all":
        if checked is False:
            raise DefinitionError(f'{of} has capture="all" and log_prints=False: leave one of them out.')
        checked = True
    return checked, capture


def check_bool(value: Any, of: str, parameter: str) -> bool | None:
    """True, False or None."""
    if value is None or isinstance(value, bool):
        return value
    raise DefinitionError(f"{parameter} of {of} must be True, False or None; it is {value!r}.")


def check_run_name(value: Any, of: str, parameter: str) -> Any:
    """A template, or a function that gives text."""
    if value is None or callable(value) or isinstance(value, str):
        return value
    raise DefinitionError(f"{parameter} of {of} must be a template or a function; it is {value!r}.")
