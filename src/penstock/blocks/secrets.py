"""What is secret in a block's fields: found in values, taken out of them to be stored, and made known to the mask."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pydantic
from pydantic_core import to_jsonable_python

from ..domain.blocks import Place
from ..domain.errors import UnstorableValue
from ..engine.masking import MASKER

SECRETS = (pydantic.SecretStr, pydantic.SecretBytes, pydantic.Secret)


def mask(value: Any) -> None:
    """Tells the process's mask all secrets in a value, so that none is written anywhere."""
    for secret in found_in(value):
        mask_clear(secret)


def mask_clear(secret: Any) -> bool:
    """Tells the process's mask a clear value. False where some text in it is not masked: it is too short, or blank."""
    added = [MASKER.add(text) for text in _texts(secret)]
    return all(added)


def found_in(value: Any) -> Iterator[Any]:
    """The clear values of all secrets in a value."""
    if isinstance(value, SECRETS):
        yield value.get_secret_value()
    elif isinstance(value, pydantic.BaseModel):
        for _, each in value:
            yield from found_in(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from found_in(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from found_in(each)


def _texts(secret: Any) -> Iterator[str | bytes]:
    """The texts in a clear value: of something larger, those in it."""
    if isinstance(secret, SECRETS):
        yield from _texts(secret.get_secret_value())
    elif isinstance(secret, str | bytes):
        yield secret
    elif isinstance(secret, int | float) and not isinstance(secret, bool):
        yield str(secret)
    elif isinstance(secret, pydantic.BaseModel):
        yield from _texts(dict(secret))
    elif isinstance(secret, dict):
        yield from _texts(list(secret.values()))
    elif isinstance(secret, list | tuple | set | frozenset):
        for each in secret:
            yield from _texts(each)


def taken_out(block: pydantic.BaseModel) -> tuple[dict[str, Any], list[tuple[Place, Any]]]:
    """A block's fields as JSON values with None in the places of secrets, and the secrets, with their places.

    Raises `UnstorableValue`.
    """
    _check(block)
    try:
        # The same twice: with secrets as objects, so that they are found, and all as JSON, so that the rest is right.
        objects = block.model_dump(mode="python", by_alias=True, round_trip=True)
        plain = block.model_dump(mode="json", by_alias=True, round_trip=True)
        secrets: list[tuple[Place, Any]] = []
        fields = _plain(objects, plain, (), secrets)
    except (pydantic.ValidationError, ValueError, TypeError, RecursionError) as error:
        raise UnstorableValue(f"A {type(block).__name__} cannot be stored: {error}") from None
    if len(secrets) < sum(1 for _ in found_in(block)):
        raise UnstorableValue(
            f"A {type(block).__name__} cannot be stored: a field holds a value of a narrower class than its annotation "
            "says, whose secrets would be lost, or has a serializer of its own. Annotate it with that class, or do "
            "without the serializer."
        )
    return fields, secrets


def _check(value: Any) -> None:
    """Refuses a clear value where the annotation wants a secret: pydantic's `model_construct` and `model_copy` let it
    in, and it would be stored as it is. And a secret where the annotation wants none: when it was loaded it would be
    one no more, and be stored in clear the next time."""
    if isinstance(value, pydantic.BaseModel):
        for name, field in type(value).model_fields.items():
            each = getattr(value, name, None)
            if each is not None and not isinstance(each, SECRETS) and is_secret(field.annotation):
                raise UnstorableValue(
                    f"Field {name!r} of {type(value).__name__} is a secret, but holds a plain {type(each).__name__}. "
                    f"Make it by calling {type(value).__name__}(...), which puts the value into the field's type."
                )
            if not is_secret(field.annotation) and _comes_back_clear(each, field.annotation):
                raise _undeclared(name, value)
            _check(each)
        for name, each in (value.__pydantic_extra__ or {}).items():
            if any(True for _ in found_in(each)):
                raise _undeclared(name, value)
    elif isinstance(value, dict):
        if any(isinstance(key, SECRETS) for key in value):
            raise UnstorableValue("A secret is the key of a dictionary, where it cannot be encrypted. Make it a value.")
        for each in value.values():
            _check(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            _check(each)


def _undeclared(name: str, of: pydantic.BaseModel) -> UnstorableValue:
    return UnstorableValue(
        f"Field {name!r} of {type(of).__name__} holds a secret, but its annotation does not say so: it would be loaded "
        "as a plain value. Annotate it as SecretStr, SecretBytes or Secret[...]."
    )


def _comes_back_clear(value: Any, annotation: Any) -> bool:
    """Whether secrets in a field (not those in models in it, whose fields are looked at) would be none any more."""
    count = _count(value)
    if not count:
        return False
    try:
        return _count(pydantic.TypeAdapter(annotation).validate_python(_jsonable(value))) < count
    except (pydantic.PydanticUserError, pydantic.ValidationError):  # then it is for loading to tell
        return False


def _count(value: Any) -> int:
    if isinstance(value, SECRETS):
        return 1
    if isinstance(value, dict):
        return sum(map(_count, value.values()))
    return sum(map(_count, value)) if isinstance(value, list | tuple | set | frozenset) else 0


def is_secret(annotation: Any) -> bool:
    """Whether nothing but secrets (and None) is wanted."""
    if get_origin(annotation) in (Union, UnionType):
        kinds = [each for each in get_args(annotation) if each is not type(None)]
        return bool(kinds) and all(map(is_secret, kinds))
    kind = get_origin(annotation) or annotation
    return isinstance(kind, type) and issubclass(kind, SECRETS)


def _plain(value: Any, plain: Any, place: Place, secrets: list[tuple[Place, Any]]) -> Any:
    if isinstance(value, SECRETS):
        secrets.append((place, _jsonable(value.get_secret_value())))
        return None
    if not any(True for _ in found_in(value)):
        return plain
    if not isinstance(plain, dict if isinstance(value, dict) else list) or len(plain) != len(value):
        raise UnstorableValue(f"Field {'.'.join(map(str, place))!r} changes its shape when it is written as JSON.")
    if isinstance(plain, dict):
        of_keys = zip(value.values(), plain.items(), strict=True)
        return {key: _plain(each, json, (*place, key), secrets) for each, (key, json) in of_keys}
    return [_plain(each, plain[index], (*place, index), secrets) for index, each in enumerate(value)]


def _jsonable(secret: Any) -> Any:
    """A clear value as JSON, or bytes."""
    if isinstance(secret, SECRETS):
        return _jsonable(secret.get_secret_value())
    if isinstance(secret, bytes | str):
        return secret
    if isinstance(secret, dict):
        return {str(key): _jsonable(each) for key, each in secret.items()}
    if isinstance(secret, list | tuple | set | frozenset):
        return [_jsonable(each) for each in secret]
    return _jsonable(dict(secret)) if isinstance(secret, pydantic.BaseModel) else to_jsonable_python(secret)
