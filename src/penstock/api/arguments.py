"""From what a client sent to what an operation takes.

Law: JSON that is none is a `BadRequest` (400); JSON that does not fit is `Unfitting` (422), with the place in it. NUL
characters and whole numbers beyond 64 bits fit nowhere: databases do not take them. Depth is limited here, because
whatever goes through a value later does so recursively.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, get_origin, get_type_hints
from urllib.parse import unquote_to_bytes

import msgspec

from ..domain.errors import BadRequest
from ..protocol.operation import Operation

DEEPEST = 64
MOST_QUERY_FIELDS = 200
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_LARGEST = 2**63 - 1


class Unfitting(BadRequest):
    """What was sent can be read, and does not fit."""

    status = 422


class WrongKind(BadRequest):
    """The body is not of a kind that is taken here."""

    status = 415


class Reader:
    """Reads the argument of one operation."""

    def __init__(self, operation: Operation[Any, Any]) -> None:
        self._takes = operation.takes
        hints = get_type_hints(operation.takes, include_extras=True)
        self._in_path = {name: hints[name] for name in operation.path_fields}
        self._rest = body_of(operation)
        self._several = {
            field.name
            for field in msgspec.structs.fields(self._rest)
            if get_origin(field.type) in (list, tuple, set, frozenset)
        }
        self._names = self._rest.__struct_fields__
        self._decoder = msgspec.json.Decoder(self._rest)
        self._in_query = operation.in_query

    def read(self, in_path: Sequence[str], query: bytes, body: bytes) -> Any:
        """Raises `BadRequest`."""
        values = {
            name: _fitted(text, kind, name) for (name, kind), text in zip(self._in_path.items(), in_path, strict=True)
        }
        rest = self._from_query(query) if self._in_query else self._from_body(query, body)
        values.update((name, getattr(rest, name)) for name in self._names)
        try:
            return self._takes(**values)
        except ValueError as error:  # a `__post_init__` has looked at the fields together
            raise Unfitting(f"What was sent does not fit: {error}") from None

    def _from_body(self, query: bytes, body: bytes) -> Any:
        if query:
            raise Unfitting("This operation takes no query parameters; its fields go into the JSON body.")
        check_json(body)
        return decoded(self._decoder, body or b"{}")

    def _from_query(self, query: bytes) -> Any:
        found: dict[str, Any] = {}
        for name, text in query_fields(query):
            if name in self._several:
                found.setdefault(name, []).append(text)
            elif name in found:
                raise Unfitting(f"The query parameter {name!r} is given twice.")
            else:
                found[name] = text
        return _fitted(found, self._rest, "")


def body_of(operation: Operation[Any, Any]) -> type[msgspec.Struct]:
    """What an operation takes besides what is in its path: the body's type, or the query's."""
    if not operation.path_fields and operation.takes.__struct_config__.forbid_unknown_fields:
        return operation.takes
    hints = get_type_hints(operation.takes, include_extras=True)
    fields = [
        _like(field, hints[field.name])
        for field in msgspec.structs.fields(operation.takes)
        if field.name not in operation.path_fields
    ]
    # Named for the operation: several may take what differs only in its rest.
    name = "".join(part.capitalize() for part in operation.name.split("_"))
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


def _like(field: Any, kind: Any) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.name, kind, field.default
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, kind, msgspec.field(default_factory=field.default_factory)
    return field.name, kind


def _fitted(value: Any, kind: Any, name: str) -> Any:
    try:
        found = msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        where = f"{name!r} in the path" if name else "The query"
        raise Unfitting(f"{where} does not fit: {error}.") from None
    _check_values(found, name or "the query")
    return found


def decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """JSON by its type. Raises `BadRequest`."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Unfitting(f"The body does not fit: {error}.") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # not JSON, or not UTF-8
        raise BadRequest(f"The body is not JSON: {error}.") from None


def check_json(body: bytes) -> None:
    """What no type says: depth, NUL characters, whole numbers. Costs next to nothing where there is nothing to find;
    what is no JSON at all is left to the decoder. Raises `BadRequest`."""
    if body.count(b"[") + body.count(b"{") > DEEPEST:
        _check_depth(body)
    if b"\\u0000" in body or _LONG_NUMBER.search(body):
        try:
            value = msgspec.json.decode(body)
        except RecursionError:
            raise _too_deep() from None
        except ValueError:
            return  # the decoder will say
        _check_values(value, "the body")


def _check_depth(body: bytes) -> None:
    try:
        msgspec.json.decode(body)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    # Each round takes the innermost pairs away.
    brackets = _STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS)
    for _ in range(DEEPEST):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise _too_deep()


def _too_deep() -> BadRequest:
    return BadRequest(f"The body is nested deeper than {DEEPEST} levels.")


def _check_values(value: Any, where: str) -> None:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            if "\0" in each:
                raise Unfitting(f"A text in {where} holds a NUL character, which no database keeps.")
        elif isinstance(each, dict):
            waiting.extend(each)
            waiting.extend(each.values())
        elif isinstance(each, list | tuple):
            waiting.extend(each)
        elif isinstance(each, msgspec.Struct):
            waiting.extend(getattr(each, name) for name in each.__struct_fields__)
        elif isinstance(each, int) and not -_LARGEST <= each <= _LARGEST:
            raise Unfitting(f"A whole number in {where} is beyond 64 bits.")
        elif isinstance(each, float) and not math.isfinite(each):
            raise Unfitting(f"A number in {where} is not finite.")


def query_fields(query: bytes) -> list[tuple[str, str]]:
    """The fields of a query string. Raises `BadRequest`."""
    parts = [part for part in query.split(b"&") if part]
    if len(parts) > MOST_QUERY_FIELDS:
        raise BadRequest(f"There are more than {MOST_QUERY_FIELDS} query parameters.")
    found = []
    for part in parts:
        name, _, value = part.partition(b"=")
        found.append((unquoted(name.replace(b"+", b" ")), unquoted(value.replace(b"+", b" "))))
    return found


def unquoted(text: bytes) -> str:
    """Percent-encoded UTF-8 as text. Raises `BadRequest`."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise BadRequest("The URL is not percent-encoded UTF-8.") from None
