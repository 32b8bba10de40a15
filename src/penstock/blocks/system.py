"""The blocks that come with Penstock: a secret, and plain values."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic

import pydantic

from .core import Block
from .secrets import SECRETS

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")


class Secret(Block, Generic[T]):
    """A value that nobody may see: text, or anything that is JSON. Encrypted in the record, masked in logs.

    Example::

        Secret(value="hunter2").save("db-password")
        Secret.load("db-password").get()  # 'hunter2'
    """

    _description = "A value that nobody may see: text or JSON."

    value: pydantic.Secret[T]

    if TYPE_CHECKING:

        def __init__(self, *, value: T | pydantic.Secret[T]) -> None: ...

    @pydantic.field_validator("value", mode="before")
    @classmethod
    def _clear(cls, value: Any) -> Any:
        return value.get_secret_value() if isinstance(value, SECRETS) else value

    def get(self) -> T:
        """The clear value, as it was saved."""
        return self.value.get_secret_value()


class JSON(Block):
    """A JSON value that everybody may see.

    A `Variable` is the lighter way."""

    value: Any


class String(Block):
    """A text that everybody may see.

    A `Variable` is the lighter way."""

    value: str


class DateTime(Block):
    """A moment, with its time zone if it has one."""

    _block_type_name = "Date Time"

    value: datetime
