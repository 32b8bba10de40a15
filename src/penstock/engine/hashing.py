"""A hash of values that is the same in every process: for cache keys.

Law: two values that differ never hash alike for want of trying; a value that cannot be hashed is an error, not a guess.
Sets and dicts are put in order first: their own order differs between processes.
"""

from __future__ import annotations

from typing import Any

from ..domain.errors import HashError


def stable_hash(*values: Any) -> str:
    """32 hex digits. Raises `HashError` for what cannot be hashed."""
    import hashlib

    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        _feed(digest, value, 0)
    return digest.hexdigest()


def _feed(digest: Any, value: Any, depth: int) -> None:
    if depth > 200:
        raise HashError("The value is nested more than 200 levels deep, or contains itself.")
    kind = type(value)
    digest.update(f"<{kind.__module__}.{kind.__qualname__}:".encode())
    if value is None or kind in (bool, int, float, complex, str):
        digest.update(repr(value).encode("utf-8", "surrogatepass"))
    elif kind in (bytes, bytearray):
        digest.update(value)
    elif isinstance(value, list | tuple):
        for item in value:
            _feed(digest, item, depth + 1)
    elif isinstance(value, set | frozenset):
        for item in sorted(_digest_of(item, depth + 1) for item in value):
            digest.update(item)
    elif isinstance(value, dict):
        for key, item in sorted(
            (_digest_of(key, depth + 1), _digest_of(item, depth + 1)) for key, item in value.items()
        ):
            digest.update(key + item)
    else:
        digest.update(_object_bytes(value, depth))
    digest.update(b">")


def _digest_of(value: Any, depth: int) -> bytes:
    import hashlib

    inner = hashlib.blake2b(digest_size=16)
    _feed(inner, value, depth)
    return inner.digest()


def _object_bytes(value: Any, depth: int) -> bytes:
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is not None and not isinstance(value, type):
        return _digest_of({name: getattr(value, name) for name in fields}, depth + 1)
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return _digest_of(dump(), depth + 1)
    import cloudpickle

    try:
        return cloudpickle.dumps(value, protocol=5)  # type: ignore[no-any-return]
    except Exception as error:
        raise HashError(
            f"A value of type {type(value).__module__}.{type(value).__qualname__} cannot be hashed "
            f"({type(error).__name__}: {error})."
        ) from error
