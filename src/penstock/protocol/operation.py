"""One thing that a record can be asked over REST: its name, where it is, what it takes and gives, and who may ask."""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from ..domain.accounts import OPERATOR, VIEWER, Role
from ..domain.errors import BadRequest

A = TypeVar("A", bound=msgspec.Struct)
R = TypeVar("R")
T = TypeVar("T")

OPERATIONS: dict[str, Operation[Any, Any]] = {}
READING = frozenset({"GET", "HEAD"})
_FIELD = re.compile(r"\{(\w+)\}")


def checked(operation: Operation[A, Any], argument: A) -> A:
    """An argument as it would arrive at a server, where the operation is `strict`: a struct that was made in Python has
    not been looked at, and what is kept of it must be readable.

    Raises `BadRequest` for a value of the wrong type or out of its bounds, and for what JSON has not.
    """
    if not operation.strict:
        return argument
    try:
        return msgspec.json.decode(msgspec.json.encode(argument), type=operation.takes)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadRequest(f"{operation.name.replace('_', ' ').capitalize()}: {error}.") from None


class Operation(Generic[A, R]):
    """`name` is the handler's, the client's method's and OpenAPI's; `path` goes below `/api`.

    Of the fields of `takes`, those named in `path` come from there; the others are query parameters of a GET or DELETE,
    and the JSON body's fields otherwise. `gives` is the JSON answer; None: nothing (status 204). `role` is the least
    that may ask, None: anyone. `safe` says that asking twice is asking once, so that it may be tried again: so is all
    that only reads; anything else is tried again with an `Idempotency-Key` only. `waits` says that there may be
    nothing new yet, and the asker can wait for it (`takes.wait`, seconds): see `Unchanged`. `summary` is one line.

    What does not only read is `audited`: who asked for it is written into the audit log. What runs do by themselves
    (report, take a slot) is `journal`: it is in the record anyway, not in the audit log, and may be asked with a key
    that has no more than the scope `journal`. The answer to what is `secret` is kept nowhere, not even for an
    `Idempotency-Key`. What is `strict` takes no value of a wrong type, also from who asks in the same process.
    """

    __slots__ = (
        "audited", "gives", "journal", "method", "name", "path", "reads", "role", "safe", "secret", "status", "strict",
        "summary", "takes", "waits",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        method: str,
        path: str,
        takes: type[A],
        gives: type[R] | None,
        summary: str,
        *,
        role: Role | None = None,
        anyone: bool = False,
        reads: bool = False,
        safe: bool = False,
        waits: bool = False,
        journal: bool = False,
        audited: bool | None = None,
        secret: bool = False,
        strict: bool = False,
        status: int | None = None,
    ) -> None:
        assert name not in OPERATIONS, f"there are two operations {name!r}"
        reads = reads or method in READING
        self.name = name
        self.method = method
        self.path = path
        self.takes = takes
        self.gives = gives
        self.summary = summary
        self.role = None if anyone else role or (VIEWER if reads else OPERATOR)
        self.reads = reads
        self.journal = journal
        self.audited = not reads and not journal if audited is None else audited
        self.secret = secret
        self.strict = strict
        self.safe = reads or safe
        self.waits = waits
        self.status = status or (204 if gives is None else 200)
        OPERATIONS[name] = self

    @property
    def path_fields(self) -> tuple[str, ...]:
        """The fields of `takes` that are in the path."""
        return tuple(_FIELD.findall(self.path))

    @property
    def in_query(self) -> bool:
        """Whether the fields that are not in the path are query parameters."""
        return self.method in ("GET", "HEAD", "DELETE")

    def __repr__(self) -> str:
        return f"<Operation {self.name}: {self.method} {self.path}>"


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """Some of a list. `next` is the cursor of what follows, to be given back as it is; None: that was all."""

    items: list[T]
    next: str | None = None


class Unchanged(Exception):
    """Raised by the handler of an operation that `waits`: there is nothing new. `value` is what is answered when the
    asker's patience ends."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Count(msgspec.Struct):
    count: int


class Nothing(msgspec.Struct):
    """What an operation takes that takes nothing."""
