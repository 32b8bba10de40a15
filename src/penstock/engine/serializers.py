"""How values become bytes and back. Bytes are only ever turned into values in a user's own process."""

from __future__ import annotations

import io
from functools import cache
from typing import Any, Protocol

import msgspec

from ..domain.errors import SerializationError
from . import secrets


class Serializer(Protocol):
    """`type` names it in the record; `dumps` and `loads` are each other's reverse."""

    @property
    def type(self) -> str: ...
    def dumps(self, value: Any) -> bytes: ...
    def loads(self, data: bytes) -> Any: ...


class PickleSerializer:
    """Any Python value, functions and lambdas included (cloudpickle)."""

    type = "pickle"

    def dumps(self, value: Any) -> bytes:
        file = io.BytesIO()
        _pickler()(file).dump(value)
        return file.getvalue()

    def loads(self, data: bytes) -> Any:
        import pickle

        return pickle.loads(data)


@cache
def _pickler() -> Any:
    """cloudpickle's, which learns the secrets that it comes by."""
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            secrets.learn_if_secret(value)
            return super().reducer_override(value)

    return Pickler


class JSONSerializer:
    """Plain values, readable everywhere. What JSON does not know (tuples, sets) comes back as what it does."""

    type = "json"

    def dumps(self, value: Any) -> bytes:
        return msgspec.json.encode(value)

    def loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)


class CompressedSerializer:
    """Another serializer's bytes, compressed (zlib)."""

    def __init__(self, serializer: Serializer | str = "pickle") -> None:
        self.serializer = resolve(serializer)
        self.type = f"compressed/{self.serializer.type}"

    def dumps(self, value: Any) -> bytes:
        import zlib

        return zlib.compress(self.serializer.dumps(value))

    def loads(self, data: bytes) -> Any:
        import zlib

        return self.serializer.loads(zlib.decompress(data))


def resolve(serializer: Serializer | str) -> Serializer:
    """A serializer by its name: pickle, json, compressed/pickle, compressed/json; or the object itself."""
    if not isinstance(serializer, str):
        return serializer
    if serializer == "pickle":
        return PickleSerializer()
    if serializer == "json":
        return JSONSerializer()
    if serializer.startswith("compressed/"):
        return CompressedSerializer(serializer.removeprefix("compressed/"))
    raise SerializationError(
        f"There is no serializer {serializer!r}; there are pickle, json, compressed/pickle and compressed/json."
    )
