"""The JSON schema of a flow's parameters: by which they are checked where a run is made, and forms are drawn."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..domain.errors import ParameterTypeError


def schema_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """An object's schema, in the order of the parameters. Of one whose type has no JSON schema it says nothing but its
    name: it is checked where the flow is called."""
    try:
        signature = inspect.signature(fn, eval_str=True)
    except Exception:  # an annotation that cannot be evaluated is not checked, as Python does not either
        signature = inspect.signature(fn)
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    required: list[str] = []
    open_ended = False
    for place, (name, parameter) in enumerate(signature.parameters.items()):
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ended = True
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        about = _schema_of_type(parameter.annotation, definitions)
        about = {"title": name, "position": place, **about}
        if parameter.default is parameter.empty:
            required.append(name)
        elif (default := _as_json(parameter.default)) is not _NO_JSON:
            about["default"] = default
        properties[name] = about
    schema: dict[str, Any] = {
        "title": "Parameters",
        "type": "object",
        "properties": properties,
        "additionalProperties": open_ended,
    }
    if required:
        schema["required"] = required
    if definitions:
        schema["$defs"] = definitions
    return schema


_NO_JSON = object()


def _schema_of_type(annotation: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if annotation is inspect.Parameter.empty or annotation is Any or isinstance(annotation, str):
        return {}
    import pydantic

    try:
        schema = pydantic.TypeAdapter(annotation).json_schema()
    except Exception:  # no type that pydantic knows, or none that JSON has
        return {}
    definitions.update(schema.pop("$defs", {}))
    return schema


def _as_json(value: Any) -> Any:
    import pydantic_core

    try:
        return pydantic_core.to_jsonable_python(value)
    except Exception:
        return _NO_JSON


def jsonable(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters as JSON has them: a date is text, a model an object. Raises `ParameterTypeError`."""
    import pydantic_core

    found = {}
    for name, value in parameters.items():
        try:
            found[name] = pydantic_core.to_jsonable_python(value)
        except Exception as error:
            raise ParameterTypeError(
                f"Parameter {name!r} cannot travel to where the flow is run: {type(value).__name__} has no JSON form."
            ) from error
    return found
