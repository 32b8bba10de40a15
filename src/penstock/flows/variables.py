"""Variables for users: JSON values under names, shared by all flows of a record."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Iterable
from typing import Any

import msgspec

from ..connect import call
from ..domain import names
from ..domain.errors import ObjectNotFound
from ..domain.variables import checked_tags, encoded
from ..engine.masking import MASKER
from ..protocol.variables import CREATE_VARIABLE, DELETE_VARIABLE, READ_VARIABLE, SetVariable, VariableByName


class Variable(msgspec.Struct, frozen=True):
    """A JSON value under a name, for what changes more often than code: a batch size, a list of tables, a switch.

    Everybody may see it; what nobody may see belongs into a `Secret`. Works inside and outside of flows.

    Example::

        Variable.set("batch_size", 500)
        Variable.get("batch_size")  # 500
        Variable.get("nothing", default=0)  # 0
    """

    name: str
    value: Any
    tags: list[str] = []

    @classmethod
    def set(cls, name: str, value: Any, tags: Iterable[str] | None = None, overwrite: bool = False) -> Variable:
        """Sets a variable; with `overwrite=True` also one that is there, whose tags are then those given here.

        A name has lowercase letters, digits, dashes and underscores, 255 at most; a value at most 5000 characters of
        JSON. Raises `InvalidName`, `UnstorableValue`, or `NameTaken` (all of them `ValueError`). Warns of a value that
        holds a secret which this process knows, and sets it.
        """
        names.check(name, names.VARIABLE)
        encoded(name, value)
        saved = call(
            CREATE_VARIABLE,
            SetVariable(name=name, value=value, tags=list(checked_tags(tags)), overwrite=overwrite),
        )
        if MASKER.active and MASKER.holds(json.dumps([value, saved.tags]).encode()):
            warnings.warn(
                f"Variable {name!r} holds a secret, which everybody can read now. Unset it, and keep it as a Secret.",
                stacklevel=2,
            )
        return cls(saved.name, saved.value, list(saved.tags))

    @classmethod
    def get(cls, name: str, default: Any = None) -> Any:
        """The value; `default` when the variable is not set. Raises `InvalidName`."""
        names.check(name, names.VARIABLE)
        try:
            return call(READ_VARIABLE, VariableByName(name)).value
        except ObjectNotFound:
            return default

    @classmethod
    def unset(cls, name: str) -> bool:
        """Removes a variable; whether it was set. Raises `InvalidName`."""
        names.check(name, names.VARIABLE)
        try:
            call(DELETE_VARIABLE, VariableByName(name))
        except ObjectNotFound:
            return False
        return True

    @classmethod
    async def aset(cls, name: str, value: Any, tags: Iterable[str] | None = None, overwrite: bool = False) -> Variable:
        """`set` to be awaited."""
        return await asyncio.to_thread(cls.set, name, value, tags, overwrite)

    @classmethod
    async def aget(cls, name: str, default: Any = None) -> Any:
        """`get` to be awaited."""
        return await asyncio.to_thread(cls.get, name, default)

    @classmethod
    async def aunset(cls, name: str) -> bool:
        """`unset` to be awaited."""
        return await asyncio.to_thread(cls.unset, name)
