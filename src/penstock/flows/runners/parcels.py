"""What travels between a run's process and its workers: functions, arguments, values and exceptions, as bytes.

Functions and classes of modules travel by their names; those of the program itself (`__main__`), of a notebook, or
made inside functions, travel whole. So a worker never has to run the program's main module again.
"""

from __future__ import annotations

import copyreg
import functools
import io
import pickle
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType, FunctionType, ModuleType
from typing import Any, Protocol

import cloudpickle
import msgspec

from ...domain.errors import SerializationError
from ...domain.runs import FlowRun, TaskRun
from ...domain.states import StoredValue
from ...engine.masking import MASKER
from ...engine.scopes import Where
from ..definition import Decorated
from .channel import Channel

# Kinds of messages. A payload follows its job or answer where it is large, and is in it otherwise.
LEDGER, READY, LOADED, ANSWER, WHERE = b"L", b"R", b"I", b"A", b"W"  # from the worker
WELCOME, JOB, REPLY, STOP, RECALL = b"H", b"J", b"L", b"S", b"C"  # to the worker
PAYLOAD = b"P"
# From the worker of a cluster: the place that it has there is free for others.
SECEDE = b"Y"
LARGE = 1 << 16


class Welcome(msgspec.Struct):
    """The first thing a worker is told: to be like the process it works for."""

    path: list[str]
    argv: list[str]
    python_path: str | None


class Surroundings(msgspec.Struct):
    """What code sees of its process, and what may change while a worker lives: folder, `sys.path`, environment."""

    folder: str | None
    path: list[str]
    environ: dict[bytes, bytes]


class FlowFacts(msgspec.Struct):
    """What a task can know of its flow run. `parameters` are pickled, where they are small and can be."""

    run: FlowRun
    log_prints: bool
    parameters: bytes | None


class TaskFacts(msgspec.Struct):
    """What makes a task: the options that can be sent, and its function, pickled."""

    name: str
    task_key: str
    version: str | None
    tags: tuple[str, ...]
    retries: int | None
    timeout_seconds: float | None
    fn: bytes


class Job(msgspec.Struct):
    """A call for a worker, with its pickled arguments.

    What the worker knows already is left out (None). `forget`: it may forget the tasks it knows. `modules` are files
    of modules that are loaded here and that an import would not find. `secrets` are what the worker is to mask,
    `trace` is the W3C trace context of the call, `cluster` how its code reaches the cluster that it is on.
    """

    number: int
    run: TaskRun
    log_prints: bool
    captures_all: bool
    tags: frozenset[str]
    task_number: int
    task: TaskFacts | None
    flow: FlowFacts | None
    in_flow: bool
    settings: dict[str, str] | None
    surroundings: Surroundings | None
    modules: dict[str, str]
    forget: bool
    arguments: bytes | None
    secrets: bytes = b""
    trace: dict[str, str] | None = None
    cluster: bytes | None = None


class Answer(msgspec.Struct):
    """What became of a job; `payload` is the value or the exception, pickled.

    `kind` is value, error, unsendable (the value cannot be pickled), unreadable (the job could not be unpickled) or
    recalled (it was not begun, because it was called back); `text` a traceback, or why. `spent`: code of the job is
    still running, so the worker must go. `secrets` are those that the worker has learned of. `kept`: so many bytes of
    the payload stay where they are, and are not in here.
    """

    number: int
    kind: str
    text: str = ""
    type_name: str = ""
    payload: bytes | None = b""
    tally: dict[str, int] = {}
    spent: bool = False
    secrets: bytes = b""
    kept: int = 0


class StopOrder(msgspec.Struct):
    """Job `number` is to stop."""

    number: int
    reason: str
    message: str


class Recall(msgspec.Struct):
    """Jobs up to number `upto` that the worker has not begun are not wanted any more: each is answered so."""

    upto: int


encode = msgspec.msgpack.Encoder(enc_hook=repr).encode
decode_job = msgspec.msgpack.Decoder(Job).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode
decode_where = msgspec.msgpack.Decoder(Where).decode
decode_stop = msgspec.msgpack.Decoder(StopOrder).decode


def send_job(channel: Channel, job: Job) -> None:
    payload = job.arguments or b""
    if len(payload) < LARGE:
        channel.send(JOB, encode(job))
    else:
        job.arguments = None
        channel.send(JOB, encode(job))
        channel.send(PAYLOAD, payload)


def send_jobs(channel: Channel, jobs: list[Job]) -> None:
    """Several that are small are sent together."""
    small = [job for job in jobs if len(job.arguments or b"") < LARGE]
    if len(small) == len(jobs):
        channel.send_all([(JOB, encode(job)) for job in jobs])
        return
    for job in jobs:
        send_job(channel, job)


def receive_job(channel: Channel) -> Job:
    job = decode_job(channel.receive()[1])
    if job.arguments is None:
        job.arguments = channel.receive()[1]
    return job


def send_answer(channel: Channel, answer: Answer) -> None:
    payload = answer.payload or b""
    if len(payload) < LARGE:
        channel.send(ANSWER, encode(answer))
    else:
        answer.payload = None
        channel.send(ANSWER, encode(answer))
        channel.send(PAYLOAD, payload)


_NAMELESS = "<dynamic-code>"


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Tasks and flows of modules go by their names, like other functions do; `modules` are those that were named."""

    def __init__(self, file: io.BytesIO, places: Places | None = None) -> None:
        super().__init__(file, protocol=5)
        self.modules: set[str] = set()
        self._places = places

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if self._places is not None and isinstance(value, StoredValue):
            place = self._places.of(value)
            return super().reducer_override(value) if place is None else (Place, (place,))
        if isinstance(value, Decorated):
            self.modules.add(value.__module__)
            return (_find, found) if (found := _place_of(value)) else _copied(value)
        if kind is FunctionType:
            self.modules.add(value.__module__ or "")
            if found := _place_of(value):
                return _find_function, found
        elif kind is CodeType:
            # cloudpickle leaves out where code was written; lines of logs and tracebacks tell it.
            make, parts = self.dispatch_table[CodeType](value)
            return make, tuple(value.co_filename if part == _NAMELESS else part for part in parts)
        elif kind is ModuleType:
            self.modules.add(value.__name__)
        elif isinstance(value, type):
            self.modules.add(value.__module__)
        return super().reducer_override(value)


def _copied(value: Any) -> Any:
    """A task or a flow without what it made for itself meanwhile."""
    state = {name: part for name, part in value.__dict__.items() if name not in ("bind", "_validator")}
    return copyreg.__newobj__, (type(value),), state  # type: ignore[attr-defined]


def _place_of(value: Any) -> tuple[str, str] | None:
    """Module and name under which a task or a flow (or the one that a function was made into) is found."""
    module, name = value.__module__, value.__qualname__
    if module == "__main__" or module not in sys.modules or "<" in name:
        return None
    try:
        found = _find(module, name)
    except (ImportError, AttributeError):
        return None
    if isinstance(value, FunctionType):
        return (module, name) if isinstance(found, Decorated) and getattr(found, "fn", None) is value else None
    return (module, name) if found is value else None


def _find(module: str, name: str) -> Any:
    __import__(module)
    return functools.reduce(getattr, name.split("."), sys.modules[module])


def _find_function(module: str, name: str) -> Any:
    return _find(module, name).fn


class Places(Protocol):
    """Values that are where the bytes go to, and need not go with them."""

    def of(self, value: StoredValue) -> int | None:
        """The place of a value among them; None if it is not one of them."""


class Place:
    """Stands for a value that is put in its place where the bytes are read."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class Filled:
    """Pickled arguments, and the values for the places in them; it is read as the arguments."""

    def __init__(self, data: bytes, values: Sequence[bytes]) -> None:
        self._state = data, tuple(values)

    def __reduce__(self) -> Any:
        return _fill, self._state


def _fill(data: bytes, values: tuple[bytes, ...]) -> Any:
    read: list[Any] = [loads(value) for value in values]
    return _Unpickler(io.BytesIO(data), read).load()


class _Unpickler(pickle.Unpickler):
    """Reads places as the values that belong there."""

    def __init__(self, file: io.BytesIO, values: list[Any]) -> None:
        super().__init__(file)
        self._values = values

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, "Place"):
            return self._values.__getitem__
        return super().find_class(module, name)


def dumps(value: Any, places: Places | None = None) -> tuple[bytes, dict[str, str]]:
    """The bytes, and the files of the modules they name that an import would not find."""
    file = io.BytesIO()
    pickler = _Pickler(file, places)
    pickler.dump(value)
    return file.getvalue(), {name: found for name in pickler.modules if (found := _file_to_load(name))}


@functools.cache
def _file_to_load(name: str) -> str | None:
    """The file of a module that was loaded from outside the path, by a test runner or by file; None for others."""
    file: str | None = getattr(sys.modules.get(name), "__file__", None)
    if name == "__main__" or file is None:
        return None
    path = None
    spec: ModuleSpec | None = None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:count]), path)
        if spec is None:
            return file
        path = spec.submodule_search_locations
    return None if spec is None or spec.origin == file else file


def loads(data: bytes) -> Any:
    return pickle.loads(data)


def secrets_after(told: int) -> tuple[bytes, int]:
    """What this process masks, for the other end, without what that was told already; and how much it knows then."""
    learned = MASKER.learned(told)
    return (pickle.dumps(learned) if learned else b""), told + len(learned)


def take_secrets(data: bytes) -> None:
    """What the other end masks is masked here, too."""
    if data:
        MASKER.learn(pickle.loads(data))


def pack_task(task: Any, instead: str) -> tuple[TaskFacts, dict[str, str]]:
    """Raises `SerializationError` for a function that cannot be sent; `instead` is what else its author can do."""
    try:
        fn, modules = dumps(task.fn)
    except Exception as error:
        raise SerializationError(
            f"Task {task.name!r} cannot be sent to a worker process: something that its function uses cannot be "
            f"pickled ({words(error)}). Put the task into a module of its own, which workers import, or {instead}."
        ) from error
    facts = TaskFacts(task.name, task.task_key, task.version, tuple(task.tags), task.retries, task.timeout_seconds, fn)
    return facts, modules


def pack_arguments(
    task: Any, args: Any, kwargs: Any, parameters: dict[str, Any], instead: str, places: Places | None = None
) -> tuple[bytes, dict[str, str]]:
    """Raises `SerializationError` that names the parameter whose value cannot be sent."""
    try:
        return dumps((tuple(args), kwargs), places)
    except Exception as error:
        for name, value in parameters.items():
            try:
                dumps(value)
            except Exception as cause:
                raise SerializationError(
                    f"Parameter {name!r} of task {task.name!r} is a {type_name(value)} that cannot be sent to a "
                    f"worker process ({words(cause)}). Make it inside the task, or {instead}."
                ) from cause
        raise SerializationError(
            f"The arguments of task {task.name!r} cannot be sent to a worker process ({words(error)})."
        ) from error


def refused_result(task: Any, answer: Answer, instead: str) -> SerializationError:
    """For an answer that is not `value`, though the code was."""
    if answer.kind == "unreadable":
        return SerializationError(
            f"The call of task {task.name!r} cannot be unpickled in a worker process ({answer.text}). Workers see the "
            f"same sys.path; is something it needs made by this program only? Else {instead}."
        )
    return SerializationError(
        f"Task {task.name!r} was run, but its result is a {answer.type_name} that cannot be sent back from the worker "
        f"process ({answer.text}). Return something that can be pickled, or {instead}."
    )


def unpack_value(task: Any, answer: Answer) -> Any:
    """Raises `SerializationError`."""
    try:
        return loads(answer.payload or b"")
    except Exception as error:
        raise SerializationError(
            f"Task {task.name!r} was run, but its result cannot be unpickled here ({words(error)})."
        ) from error


def pack_error(error: BaseException) -> bytes:
    """An exception with its cause; where pickling it as such does not work, its class and what it holds.

    Many exception classes cannot be rebuilt from their `args`, which is what pickle tries. Empty if nothing works.
    """
    cause = error.__cause__
    for part in ((error, cause), (error, None), (_Bare(error), None)):
        try:
            data, _ = dumps(part)
            loads(data)
        except Exception:
            continue
        return data
    return b""


class _Bare:
    """An exception as its parts."""

    def __init__(self, error: BaseException) -> None:
        self.kind, self.args, self.state = type(error), error.args, dict(error.__dict__)

    def rebuild(self) -> BaseException:
        error = self.kind.__new__(self.kind, *self.args)
        error.args = self.args
        error.__dict__.update(self.state)
        return error


def unpack_error(answer: Answer) -> BaseException:
    """The exception, with the worker's traceback as a note; a RuntimeError that tells of one that could not be sent."""
    try:
        error, cause = loads(answer.payload or b"")
        if isinstance(error, _Bare):
            error = error.rebuild()
        if cause is not None:
            error.__cause__ = cause
    except Exception:
        error = RuntimeError(
            f"A worker process raised {answer.type_name}, an exception that cannot be sent to another process. "
            "Its traceback is below."
        )
    if answer.text:
        error.add_note(f"In the worker process:\n{answer.text}")
    return error  # type: ignore[no-any-return]


def words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
