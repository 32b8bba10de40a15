"""Inputs that are sent between runs while they run: `send_input`, `receive_input`.

Law: what comes is data, checked by the type that the receiver asks for; what does not fit is said in the log, and is
passed over.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Collection
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar, get_origin
from uuid import UUID

import msgspec

from .. import connect
from ..domain.errors import MissingContextError
from ..domain.ids import parse_id
from ..domain.run_inputs import SentInput
from ..engine.attempts import WARNING, describe
from ..engine.context import current, is_awaited
from ..engine.runlog import say
from ..protocol.run_inputs import FILTER_INPUTS, SEND_INPUT, FilterInputs, SendInput
from .pausing import TIMEOUT, check_timeout
from .run_inputs import VALUE, Wanted, jsonable

T = TypeVar("T")

# Who waits looks up as often, so that a stop of its run is not kept waiting longer.
PIECE = 1.0
_RUN = re.compile(r"flow-run\.([0-9a-f-]{36})\Z")


class InputMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """Of an input that was received: its `key` in the run, the `sender` as that called itself (`penstock.flow-run.ID`
    for a run), `who` that was as the record knows it, the run that was the `receiver`, and when it came."""

    key: str
    sender: str | None
    who: str
    receiver: UUID
    at: datetime


class Received(msgspec.Struct, Generic[T], frozen=True):
    """A value of a plain type, with where it came from."""

    value: T
    metadata: InputMetadata

    def respond(self, run_input: Any, sender: str | None = None, key_prefix: str | None = None) -> Any:
        """Sends the run that sent this an answer. Raises `ValueError` where that was no run."""
        return respond(self.metadata, run_input, sender, key_prefix)


def send_input(
    run_input: Any, flow_run_id: UUID | str, sender: str | None = None, key_prefix: str | None = None
) -> Any:
    """Sends a flow run a value: a `RunInput`, or what JSON has. It gets it by `receive_input` of the same type.

    `sender` is what the receiver is told; by itself the run that calls. `key_prefix` is asked for in place of the type.
    In a coroutine of a flow or task it is awaited.

    Raises `ObjectNotFound`, `TransitionRefused` for a run that has ended, and `UnstorableValue` for more than 250,000
    bytes.

    Example::

        send_input("go on", flow_run_id=other.id)
    """
    context = current.get()
    flow = None if context is None else context.flow_context
    if sender is None and flow is not None:
        sender = f"penstock.flow-run.{flow.run.id}"
    # A model has fields of its own; any other value is the one field of an object.
    value = jsonable(run_input)
    if not hasattr(run_input, "model_dump"):
        value = {VALUE: value}
    query = SendInput(id=parse_id(flow_run_id), key=key_prefix or key_of(type(run_input)), value=value, sender=sender)
    work = partial(_send, query)
    return asyncio.to_thread(work) if is_awaited(context) else work()


async def asend_input(*args: Any, **options: Any) -> None:
    """`send_input()` to be awaited, with the same arguments."""
    found = send_input(*args, **options)
    if asyncio.iscoroutine(found):
        await found


def receive_input(
    input_type: Any,
    timeout: float | None = TIMEOUT,
    poll_interval: float = 10,
    raise_timeout_error: bool = False,
    exclude_keys: Collection[str] | None = None,
    key_prefix: str | None = None,
    flow_run_id: UUID | str | None = None,
    with_metadata: bool = False,
) -> Inputs:
    """The inputs of a type that are sent to this flow run (or to `flow_run_id`), to be iterated over, with `for` or
    `async for`: those that came already, and then each when it comes. `.next()` gives the next one.

    It ends when for `timeout` seconds none came (an hour; None: never); with `raise_timeout_error`, by `TimeoutError`.
    `exclude_keys` are those (`metadata.key`) that are passed over. `with_metadata` gives values of plain types as
    `Received`; a `RunInput` has its `metadata` always. `poll_interval` is accepted and not needed: they are pushed.

    Example::

        for name in receive_input(str, timeout=60):
            print(f"Hello, {name}!")
    """
    context = current.get()
    flow = None if context is None else context.flow_context
    if flow_run_id is None and flow is None:
        raise MissingContextError("There is no flow run here that could be sent something: give a flow_run_id.")
    id = parse_id(flow_run_id) if flow_run_id is not None else flow.run.id  # type: ignore[union-attr]
    if input_type is None:
        raise ValueError("input_type is a RunInput, or a type such as str.")
    return Inputs(
        id, Wanted.of(input_type), key_prefix or key_of(input_type), check_timeout(timeout), raise_timeout_error,
        frozenset(exclude_keys or ()), with_metadata,
    )  # fmt: skip


class Inputs:
    """What comes to a flow run, one by one. See `receive_input`."""

    def __init__(
        self, flow_run_id: UUID, wanted: Wanted, key: str, timeout: float | None, raises: bool,
        excluded: frozenset[str], with_metadata: bool,
    ) -> None:  # fmt: skip
        self._id, self._wanted, self._key, self._timeout = flow_run_id, wanted, key, timeout
        self._raises, self._excluded, self._with_metadata = raises, excluded, with_metadata
        self._seen = 0
        self._come: list[SentInput] = []
        self._settled = False

    def __iter__(self) -> Inputs:
        return self

    def __aiter__(self) -> Inputs:
        return self

    def __next__(self) -> Any:
        try:
            return self._next()
        except TimeoutError:
            if self._raises:
                raise
            raise StopIteration from None

    async def __anext__(self) -> Any:
        try:
            return await self._anext()
        except TimeoutError:
            if self._raises:
                raise
            raise StopAsyncIteration from None

    def next(self) -> Any:
        """The next one; in a coroutine of a flow or task it is awaited. Raises `TimeoutError` when none comes."""
        return self._anext() if is_awaited(current.get()) else self._next()

    def _next(self) -> Any:
        deadline = self._deadline()
        while True:
            for found in self._fitting():
                return found
            self._ask(deadline)

    async def _anext(self) -> Any:
        deadline = self._deadline()
        while True:
            for found in self._fitting():
                return found
            await asyncio.to_thread(self._ask, deadline)

    def _deadline(self) -> float | None:
        return None if self._timeout is None else time.monotonic() + self._timeout

    def _ask(self, deadline: float | None) -> None:
        if not self._settled:  # the run itself is in the record
            connect.settle()
            self._settled = True
        left = PIECE if deadline is None else min(PIECE, deadline - time.monotonic())
        query = FilterInputs(id=self._id, key=self._key, seen=self._seen, wait=max(left, 0.0))
        self._come = connect.call(FILTER_INPUTS, query)
        if not self._come and deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError(f"Nothing was sent to flow run '{self._id}' within {self._timeout:g} seconds.")

    def _fitting(self) -> Any:
        """At most one: what came after it stays where it is."""
        while self._come:
            sent = self._come.pop(0)
            self._seen = sent.seq
            metadata = InputMetadata(
                key=f"{sent.key}-{sent.seq}", sender=sent.sender, who=sent.who, receiver=self._id, at=sent.at
            )
            if metadata.key in self._excluded:
                continue
            assert self._wanted.check is not None
            try:
                value = self._wanted.check(sent.value)
            except Exception as error:
                context = current.get()
                if context is not None:
                    say(context, WARNING, f"An input from {sent.sender or sent.who} does not fit: {describe(error)}")
                continue
            if not self._wanted.plain:
                object.__setattr__(value, "_metadata", metadata)
            yield Received(value, metadata) if self._wanted.plain and self._with_metadata else value
            return


def respond(metadata: InputMetadata | None, run_input: Any, sender: str | None, key_prefix: str | None) -> Any:
    found = None if metadata is None else _RUN.search(metadata.sender or "")
    if found is None:
        raise ValueError("This was not sent by a flow run: there is nobody to respond to.")
    return send_input(run_input, found[1], sender, key_prefix)


def key_of(kind: Any) -> str:
    """By which inputs of a type are known: its name."""
    origin = get_origin(kind) or kind
    return str(getattr(origin, "__name__", None) or origin).lower()[:255]


def _send(query: SendInput) -> None:
    connect.settle()
    connect.call(SEND_INPUT, query)
