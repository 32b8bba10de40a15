"""Checking a flow's arguments against its annotations: by a glance where that is enough, by pydantic otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..domain.errors import ParameterTypeError

_EXACT = {int, float, str, bool, bytes, dict, list, tuple, set, type(None)}


class Validator:
    """For one function. pydantic is imported when the first value needs more than a glance."""

    def __init__(self, fn: Callable[..., Any], name: str) -> None:
        import inspect

        self._name = name
        try:
            parameters = inspect.signature(fn, eval_str=True).parameters.values()
        except Exception:  # an annotation that cannot be evaluated is not checked, as Python does not either
            parameters = inspect.signature(fn).parameters.values()
        self._types: dict[str, Any] = {}
        self._defaults: dict[str, Any] = {}
        for parameter in parameters:
            annotation = parameter.annotation
            if annotation is parameter.empty or annotation is Any or isinstance(annotation, str):
                continue
            if parameter.kind is parameter.VAR_POSITIONAL:
                annotation = tuple.__class_getitem__((annotation, ...))
            elif parameter.kind is parameter.VAR_KEYWORD:
                annotation = dict.__class_getitem__((str, annotation))
            self._types[parameter.name] = annotation
            self._defaults[parameter.name] = parameter.default
        self._adapters: dict[str, Any] = {}

    def check(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters, coerced; the same dict where nothing had to be. Raises `ParameterTypeError`."""
        problems: list[str] = []
        changed: dict[str, Any] | None = None
        for name, annotation in self._types.items():
            value = parameters[name]
            if (annotation in _EXACT and type(value) is annotation) or value is self._defaults[name]:
                continue
            checked = self._by_pydantic(name, annotation, value, problems)
            if checked is not value:
                changed = dict(parameters) if changed is None else changed
                changed[name] = checked
        if problems:
            raise ParameterTypeError(
                f"Flow {self._name!r} was called with parameters that do not fit: " + "; ".join(problems) + "."
            )
        return parameters if changed is None else changed

    def _by_pydantic(self, name: str, annotation: Any, value: Any, problems: list[str]) -> Any:
        import pydantic

        from ..engine import secrets
        from ..engine.masking import MASKER

        adapter = self._adapters.get(name)
        if adapter is None:
            config = pydantic.ConfigDict(arbitrary_types_allowed=True)
            try:
                adapter = pydantic.TypeAdapter(annotation, config=config)
            except pydantic.PydanticUserError:  # the type brings a configuration of its own
                adapter = pydantic.TypeAdapter(annotation)
            self._adapters[name] = adapter
        try:
            return adapter.validate_python(value)
        except pydantic.ValidationError as error:
            if _has_secrets(adapter):
                secrets.add(value)  # which part of it is the secret is not known, for it does not fit
            for each in error.errors(include_url=False):
                where = ".".join(str(part) for part in (name, *each["loc"]))
                problems.append(f"{where}: {each['msg']} (it is {MASKER.head(str(each['input']), 80)!r})")
            return value


def _has_secrets(adapter: Any) -> bool:
    """Whether a type is a secret, or has one in it. In doubt it has."""
    try:
        return "'writeOnly': True" in str(adapter.json_schema())
    except Exception:
        return "Secret" in repr(adapter.core_schema)
