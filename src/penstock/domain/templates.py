"""Job templates: what is launched, with places for variables, `{{ name }}`, and the JSON schema of these.

Law: a template is data. A place is filled with a value and nothing is evaluated; what a value contains is not looked at
again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from .errors import WorkPoolError

Json = dict[str, Any]

_PLACE = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}")
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list, tuple),
    "null": (type(None),),
}


class _Absent:
    """A variable that has no value: its field is left out."""


ABSENT = _Absent()


def filled(template: Json, given: Mapping[str, Any], *, of: str) -> Json:
    """The configuration that a template is with these variables, each over its default. `of` names the template in
    errors.

    Raises `WorkPoolError` for a variable that is missing, unknown or of the wrong type.

    Example::

        filled({"job_configuration": {"image": "{{ image }}"}, "variables": {"properties": {"image": {}}}},
               {"image": "python:3.12"}, of="work pool 'p'")   # {"image": "python:3.12"}
    """
    schema = template.get("variables") or {}
    properties: Json = schema.get("properties") or {}
    unknown = sorted(given.keys() - properties.keys())
    if unknown:
        raise WorkPoolError(
            f"The template of {of} has no variable {unknown[0]!r}; it has: {', '.join(sorted(properties)) or 'none'}."
        )
    values: dict[str, Any] = {}
    for name, about in properties.items():
        value = given.get(name)
        value = about.get("default", ABSENT) if value is None else value
        if value is ABSENT or value is None:
            if name in (schema.get("required") or ()):
                raise WorkPoolError(f"The template of {of} needs a variable {name!r}, which has no value.")
            values[name] = ABSENT
            continue
        problem = _problem(value, about, schema)
        if problem is not None:
            raise WorkPoolError(f"Variable {name!r} of the template of {of} {problem}.")
        values[name] = value
    made = _fill(template.get("job_configuration") or {}, values, of)
    assert isinstance(made, dict)
    return made


def check(template: Json, *, of: str) -> None:
    """Raises `WorkPoolError` for what is no template."""
    unknown = sorted(template.keys() - {"job_configuration", "variables"})
    if unknown:
        raise WorkPoolError(
            f"A base job template has 'job_configuration' and 'variables'; that of {of} has {unknown[0]!r}, too."
        )
    for name in ("job_configuration", "variables"):
        if not isinstance(template.get(name, {}), dict):
            raise WorkPoolError(f"{name!r} of the base job template of {of} is an object, in braces.")
    properties = template.get("variables", {}).get("properties", {})
    if not isinstance(properties, dict) or not all(isinstance(each, dict) for each in properties.values()):
        raise WorkPoolError(f"'variables' of the base job template of {of} is a JSON schema with 'properties'.")
    for name in _places(template.get("job_configuration", {})):
        if name not in properties:
            raise WorkPoolError(f"The base job template of {of} names a variable {name!r} that it does not describe.")


def _fill(part: Any, values: Mapping[str, Any], of: str) -> Any:
    if isinstance(part, dict):
        made = {key: _fill(each, values, of) for key, each in part.items()}
        return {key: each for key, each in made.items() if each is not ABSENT}
    if isinstance(part, list):
        return [each for each in (_fill(each, values, of) for each in part) if each is not ABSENT]
    if not isinstance(part, str):
        return part
    whole = _PLACE.fullmatch(part.strip())
    if whole is not None:
        return _value(whole[1], values, of)
    return _PLACE.sub(lambda found: _text(_value(found[1], values, of)), part)


def _value(name: str, values: Mapping[str, Any], of: str) -> Any:
    if name not in values:
        raise WorkPoolError(f"The template of {of} names a variable {name!r} that it does not describe.")
    return values[name]


def _text(value: Any) -> str:
    if value is ABSENT:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _places(part: Any) -> list[str]:
    if isinstance(part, dict):
        return [name for each in part.values() for name in _places(each)]
    if isinstance(part, list):
        return [name for each in part for name in _places(each)]
    return _PLACE.findall(part) if isinstance(part, str) else []


def _problem(value: Any, about: Json, schema: Json) -> str | None:
    """What is wrong with a value, going on from its name; by the parts of JSON schema that templates use."""
    wanted = _wanted(about, schema)
    if wanted and not any(_is(value, each) for each in wanted):
        return f"is {' or '.join(wanted)}, not {_named(value)}: {json.dumps(value, default=repr)[:100]}"
    allowed = about.get("enum")
    if allowed is not None and value not in allowed:
        return f"is one of {', '.join(map(json.dumps, allowed))}, not {json.dumps(value, default=repr)[:100]}"
    inner = about.get("additionalProperties")
    if isinstance(value, dict) and isinstance(inner, dict):
        for key, each in value.items():
            # (An environment variable that is None is taken out of the environment.)
            problem = None if each is None else _problem(each, inner, schema)
            if problem is not None:
                return f"has a {key!r} that {problem}"
    items = about.get("items")
    if isinstance(value, list | tuple) and isinstance(items, dict):
        for place, each in enumerate(value):
            problem = _problem(each, items, schema)
            if problem is not None:
                return f"has an item {place} that {problem}"
    return None


def _wanted(about: Json, schema: Json) -> list[str]:
    if "$ref" in about:
        name = str(about["$ref"]).rpartition("/")[2]
        defined = (schema.get("definitions") or schema.get("$defs") or {}).get(name, {})
        return _wanted(defined, schema)
    if "anyOf" in about:
        return [each for option in about["anyOf"] for each in _wanted(option, schema)]
    wanted = about.get("type")
    return [] if wanted is None else [wanted] if isinstance(wanted, str) else list(wanted)


def _is(value: Any, type_: str) -> bool:
    if isinstance(value, bool):
        return type_ == "boolean"
    if type_ == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(type_, (object,)))


def _named(value: Any) -> str:
    return next((name for name, kinds in _TYPES.items() if type(value) in kinds), type(value).__name__)
