"""What a paused run asks of a person: a type of the author's as a JSON schema, and what comes back as a value of it.

Law: what a person gives is data. It is checked by the type that the author wrote, and by nothing else made into code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ..domain.errors import InputRefused

# A type that is no model is asked for as an object with this one property.
VALUE = "value"


class Wanted(msgspec.Struct, frozen=True):
    """`schema` and `initial` are for forms, `check` makes the author's value of an input; `plain` says that it is no
    model. All None where nothing is asked for."""

    schema: dict[str, Any] | None = None
    plain: bool = False
    initial: Any = None
    description: str | None = None
    check: Callable[[Any], Any] | None = None
    dump: Callable[[Any], Any] | None = None

    @classmethod
    def of(cls, kind: Any) -> Wanted:
        """Raises `ValueError` for what is no type that pydantic knows."""
        if kind is None:
            return cls()
        import pydantic

        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            schema = kind.model_json_schema()
            return cls(
                schema,
                False,
                getattr(kind, "_initial", None) or None,
                getattr(kind, "_description", None),
                lambda given: kind.model_validate({} if given is None else given),
                lambda value: value.model_dump(mode="json") if isinstance(value, kind) else value,
            )
        try:
            adapter: Any = pydantic.TypeAdapter(kind)
            inner = adapter.json_schema()
        except Exception as error:
            raise ValueError(
                f"wait_for_input is a pydantic model, a RunInput or a type such as str; it is {kind!r:.80} ({error})."
            ) from None
        definitions = inner.pop("$defs", None)
        schema = {"title": "Input", "type": "object", "properties": {VALUE: inner}, "required": [VALUE]}
        if definitions:
            schema["$defs"] = definitions
        return cls(
            schema,
            True,
            None,
            None,
            lambda given: adapter.validate_python(given.get(VALUE) if isinstance(given, dict) else given),
            lambda value: {VALUE: adapter.dump_python(adapter.validate_python(value), mode="json")},
        )

    def jsonable(self, value: Any) -> Any:
        """A value of the author's as it is kept. Raises `ValueError` for one that does not fit."""
        if self.dump is None or self.check is None:
            return None
        try:
            given = self.dump(value) if value is not None or self.plain else {}
            self.check(given)
        except Exception as error:
            raise ValueError(
                f"default is what the flow goes on with, and does not fit wait_for_input: {error}"
            ) from None
        return given


def jsonable(value: Any) -> Any:
    """What somebody resumes a run with, as JSON has it. Raises `InputRefused` for what JSON has not."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    import pydantic_core

    try:
        return pydantic_core.to_jsonable_python(value)
    except Exception as error:
        raise InputRefused(f"run_input is what JSON has, or a model; it is {value!r:.80} ({error}).") from None
