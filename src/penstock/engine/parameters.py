"""Arguments of a call, by name.

`inspect.Signature.bind` costs 3 microseconds; a function made once for each signature, that Python itself binds the
arguments to, costs 0.2 and gives the very errors that users know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..domain.errors import ParameterBindError

Binder = Callable[..., dict[str, Any]]


def make_binder(fn: Callable[..., Any], name: str) -> Binder:
    """A function that takes what `fn` takes and gives the arguments by parameter, defaults included.

    Raises TypeError, in the words of Python, when they do not fit.
    """
    import inspect

    parts: list[str] = []
    defaults: dict[str, Any] = {}
    names: list[str] = []
    seen_star = positional_only = False
    for parameter in inspect.signature(fn).parameters.values():
        if positional_only and parameter.kind is not parameter.POSITIONAL_ONLY:
            parts.append("/")
        positional_only = parameter.kind is parameter.POSITIONAL_ONLY
        text = parameter.name
        if parameter.kind is parameter.VAR_POSITIONAL:
            text, seen_star = f"*{text}", True
        elif parameter.kind is parameter.VAR_KEYWORD:
            text = f"**{text}"
        elif parameter.kind is parameter.KEYWORD_ONLY and not seen_star:
            parts.append("*")
            seen_star = True
        if parameter.default is not parameter.empty:
            defaults[f"_default_{parameter.name}"] = parameter.default
            text += f"=_default_{parameter.name}"
        names.append(parameter.name)
        parts.append(text)
    if positional_only:
        parts.append("/")
    body = ", ".join(f"{each!r}: {each}" for each in names)
    made: dict[str, Any] = {}
    # All text in here comes from identifiers that Python has accepted as such.
    exec(f"def bind({', '.join(parts)}):\n    return {{{body}}}", defaults, made)
    binder: Binder = made["bind"]
    binder.__name__ = binder.__qualname__ = name if name.isidentifier() else getattr(fn, "__name__", "call")
    return binder


def bind(definition: Any, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The call's arguments by name; raises `ParameterBindError` that names the function."""
    try:
        return definition.bind(*args, **kwargs)  # type: ignore[no-any-return]
    except TypeError as error:
        raise ParameterBindError(f"{definition.name!r} cannot be called like this: {error}.") from None


def spread(fn: Callable[..., Any], parameters: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The other way round: positional and keyword arguments for a call of `fn`, from arguments by name."""
    import inspect

    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.name not in parameters:
            continue
        value = parameters[parameter.name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            args.extend(value)
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs.update(value)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            kwargs[parameter.name] = value
        else:
            args.append(value)
    return tuple(args), kwargs
