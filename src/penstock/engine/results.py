"""Keeping results: small ones in the record itself, larger ones in files of the local storage, when that is asked for.

Law: without being asked, a result is kept only where that is cheap: its size is bounded before it is written, not
after. What cannot be kept then is not an error; what was asked to be kept and cannot is. A result that holds a secret
is encrypted, or not kept.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..domain.errors import MissingResult, SerializationError
from ..domain.runs import ResultRef
from ..domain.states import StoredValue
from ..vault import Vault
from . import naming, sealing
from .masking import MASKER
from .runlog import say
from .secrets import learn_if_secret, learn_of
from .serializers import CompressedSerializer, JSONSerializer, PickleSerializer, Serializer, resolve

if TYPE_CHECKING:
    from .context import RunContext
    from .task_run import TaskCall

WARNING = 30

_NONE = ResultRef("json", b"null", size=4)
_encode = msgspec.json.Encoder().encode


class TooLarge(Exception):
    """More bytes than there is room for."""


class _Bounded(io.RawIOBase):
    """Takes so many bytes and no more."""

    def __init__(self, limit: int) -> None:
        self.parts: list[bytes] = []
        self.left = limit

    def write(self, data: Any) -> int:
        size = len(data)
        self.left -= size
        if self.left < 0:
            raise TooLarge
        self.parts.append(bytes(data))
        return size


class _Bounding(pickle.Pickler):
    """Refuses large arrays by their own word, before they are copied. Learns the secrets that it comes by."""

    def __init__(self, file: _Bounded, limit: int) -> None:
        super().__init__(file, protocol=5)
        self._limit = limit

    def reducer_override(self, value: Any) -> Any:
        learn_if_secret(value)
        size = getattr(value, "nbytes", 0)
        if isinstance(size, int) and size > self._limit:
            raise TooLarge
        return NotImplemented


def keep_if_small(value: Any, context: RunContext[Any]) -> ResultRef | None:
    """A reference that holds the value itself, if that is small and can be pickled; else None."""
    if value is None:
        return _NONE
    limit = context.runtime.settings.results_inline_limit
    learn_of(value)
    ref = _small(value, limit)
    if ref is None or ref.inline is None or not sealing.is_secret(ref.inline):
        return ref
    try:
        serializer, data = sealing.seal(ref.serializer, ref.inline, context.runtime.vault)
    except Exception as error:
        say(context, WARNING, f"The result holds a secret and is not kept, for it cannot be encrypted: {error}")
        return None
    return ResultRef(serializer, data, size=ref.size)


def _small(value: Any, limit: int) -> ResultRef | None:
    kind = type(value)
    try:
        # JSON gives back the very same for these, but for what it has no words for: nan, numbers past 64 bits, and
        # half characters.
        if kind is bool or (kind is int and -(2**63) <= value < 2**63) or (kind is str and value.isascii()):
            data = _encode(value)
            return ResultRef("json", data, size=len(data)) if len(data) <= limit else None
        data = pickled_within(limit, value)
    except Exception:  # whatever a value's own pickling raises: then it is not kept
        return None
    return ResultRef("pickle", data, size=len(data))


def pickled_within(limit: int, value: Any) -> bytes:
    """A value's pickle. Raises `TooLarge` as soon as it takes more bytes than that, and what pickling raises."""
    file = _Bounded(limit)
    _Bounding(file, limit).dump(value)
    return b"".join(file.parts)


def keep(
    value: Any, key: str, serializer: Serializer | str, storage: Path, limit: int, of: str, vault: Vault
) -> ResultRef:
    """Keeps a value because that was asked for. Raises `SerializationError` naming `of` when it cannot be written."""
    chosen = resolve(serializer)
    learn_of(value)
    try:
        data = chosen.dumps(value)
    except Exception as error:
        raise SerializationError(
            f"The result of {of} is a {type(value).__name__} that the {chosen.type!r} serializer cannot write "
            f"({type(error).__name__}: {error}). Return something it can, choose another result_serializer, or set "
            "persist_result=False."
        ) from error
    if not isinstance(data, bytes):
        raise SerializationError(
            f"The {chosen.type!r} serializer of {of} must give bytes; it gave a {type(data).__name__}."
        )
    name, size = chosen.type, len(data)
    plain = _showing_secrets(value, chosen, data)
    if plain is not None:
        try:
            name, data = sealing.seal(name, data, vault, plain)
        except Exception as error:
            raise SerializationError(
                f"The result of {of} holds a secret, and cannot be encrypted to be kept: {error}"
            ) from error
    if size <= limit and resolvable(chosen.type):
        return ResultRef(name, data, size=size)
    write_file(storage, key, data)
    return ResultRef(name, None, key, str(storage), size)


def keep_of(call: TaskCall) -> ResultRef | None:
    """Keeps the value of a task's run as its author, or else the settings, want it."""
    task, settings = call.task, call.runtime.settings
    wanted = task.persist_result
    if call.generator:
        return None  # the items went to the consumer, one by one; there is no value to keep
    if wanted is None:
        wanted = settings.tasks_default_persist_result
    if wanted is None:
        named = bool(task.result_storage or task.result_serializer or task.result_storage_key)
        wanted = settings.results_persist_by_default or call.cache_key is not None or named
        if not wanted:
            # (One that stayed where it was made is not small.)
            return None if isinstance(call.value, StoredValue) else keep_if_small(call.value, call.context)
    if not wanted:
        return None
    key = naming.storage_key(task.result_storage_key, call.context) or f"task_runs/{call.context.run.id}"
    return keep(
        call.value.load() if isinstance(call.value, StoredValue) else call.value,
        key,
        task.result_serializer or settings.results_default_serializer,
        naming.storage_path(task.result_storage, settings.local_storage_path),
        0 if task.result_storage_key else settings.results_inline_limit,
        f"task {task.name!r}",
        call.runtime.vault,
    )


def _showing_secrets(value: Any, serializer: Serializer, data: bytes) -> bytes | None:
    """Bytes of a value that show which secrets it holds, None when it holds none. A serializer that compresses or
    encodes may hide them in its own bytes. In doubt a value holds one."""
    if not MASKER.active:
        return None
    if MASKER.holds(data):
        return data
    while isinstance(serializer, CompressedSerializer):
        serializer = serializer.serializer
    plain = serializer if isinstance(serializer, PickleSerializer | JSONSerializer) else PickleSerializer()
    try:
        written = plain.dumps(value)
    except Exception:
        return data
    return written if MASKER.holds(written) else None


def resolvable(type_: str) -> bool:
    """Whether a reader will know the serializer by its name alone."""
    return type_.removeprefix("compressed/") in ("pickle", "json")


def path_of(storage: Path, key: str) -> Path:
    """The file of a key inside the storage; raises `SerializationError` for one that would lie outside."""
    try:
        path = (storage / key).resolve()
    except (OSError, ValueError) as error:
        raise SerializationError(
            f"The result key {key!r} is not a name inside the storage {storage}: {error}."
        ) from None
    if not key or path == storage.resolve() or not path.is_relative_to(storage.resolve()):
        raise SerializationError(f"The result key {key!r} is not a name inside the storage {storage}.")
    return path


def write_file(storage: Path, key: str, data: bytes) -> None:
    """Whole or not at all: a reader never sees half a result."""
    path = path_of(storage, key)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.write_bytes(data)
        os.replace(draft, path)
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError, ValueError):
            draft.unlink()
        raise SerializationError(f"The result cannot be written to {path}: {error}.") from error


class StoredResult(StoredValue):
    """A kept result, read when it is asked for (`State.result()`)."""

    __slots__ = ("_of", "_vault", "ref")

    def __init__(self, ref: ResultRef | None, of: str, vault: Vault) -> None:
        self.ref = ref
        self._of = of
        self._vault = vault

    def load(self) -> Any:
        """The value. Raises `MissingResult` when it was not kept or is gone, `SerializationError` when it is broken,
        and `DecryptionError` when it was encrypted with a key that is not here."""
        ref = self.ref
        if ref is None:
            raise MissingResult(
                f"The result of {self._of} was not kept. Set persist_result=True on it to keep results of any size."
            )
        data = ref.inline
        if data is None:
            try:
                data = path_of(Path(ref.storage or "."), ref.key or "").read_bytes()
            except OSError as error:
                raise MissingResult(f"The result of {self._of} is gone from its storage: {error}.") from error
        name, data = sealing.unseal(ref.serializer, data, self._vault, f"The result of {self._of}")
        try:
            return resolve(name).loads(data)
        except Exception as error:
            raise SerializationError(
                f"The result of {self._of} cannot be read ({type(error).__name__}: {error}); has its class moved?"
            ) from error
