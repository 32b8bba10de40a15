"""The model of what a flow asks of a person."""

from __future__ import annotations

from typing import Any, ClassVar, Self
from uuid import UUID

import pydantic

from .sent_inputs import InputMetadata, Inputs, receive_input, respond, send_input


class RunInput(pydantic.BaseModel):
    """The base of what a flow asks for when it waits: a pydantic model, whose fields become a form.

    Example::

        class Review(RunInput):
            approved: bool
            reason: str = ""

        wanted = Review.with_initial_data(description="## Ready?", reason="it looks good")
        review = pause_flow_run(wait_for_input=wanted)
    """

    _description: ClassVar[str | None] = None
    _initial: ClassVar[dict[str, Any] | None] = None
    _metadata: InputMetadata | None = pydantic.PrivateAttr(None)

    @property
    def metadata(self) -> InputMetadata | None:
        """Of one that was received: who sent it, and when."""
        return self._metadata

    def send_to(self, flow_run_id: UUID | str, sender: str | None = None, key_prefix: str | None = None) -> Any:
        """`send_input` of this."""
        return send_input(self, flow_run_id, sender, key_prefix)

    def respond(self, run_input: Any, sender: str | None = None, key_prefix: str | None = None) -> Any:
        """Sends the run that sent this an answer. Raises `ValueError` where that was no run."""
        return respond(self._metadata, run_input, sender, key_prefix)

    @classmethod
    def receive(cls, *args: Any, **options: Any) -> Inputs:
        """`receive_input` of this type, with the same arguments."""
        return receive_input(cls, *args, **options)

    @classmethod
    def with_initial_data(cls, description: str | None = None, **initial: Any) -> type[Self]:
        """The same model, with values that are filled in already; `description` is Markdown that is shown above the
        form. Raises `ValueError` for a field that it does not have, or a value that cannot be one of the field's."""
        unknown = [name for name in initial if name not in cls.model_fields]
        if unknown:
            raise ValueError(
                f"{cls.__name__} has no field {unknown[0]!r}; it has: {', '.join(cls.model_fields) or 'none'}."
            )
        fields: dict[str, Any] = {}
        for name, value in initial.items():
            kind: Any = cls.model_fields[name].annotation
            fields[name] = (kind, pydantic.TypeAdapter(kind).validate_python(value))
        made: Any = pydantic.create_model(cls.__name__, __base__=cls, __module__=cls.__module__, **fields)
        made._description = description
        made._initial = {name: made.model_fields[name].default for name in fields}
        made._initial = pydantic.TypeAdapter(dict[str, Any]).dump_python(made._initial, mode="json")
        return made  # type: ignore[no-any-return]
