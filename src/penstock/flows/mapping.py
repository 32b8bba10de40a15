"""`map` and `stream`: a task for each item. `map` takes all items at once, and gives a list of futures; `stream` takes
items as there is room for them, gives futures as they are done, and holds no more than its window.

Law of the stream: an item is taken from the inputs only while fewer than `buffersize` are on their way, which is:
taken, and their future not handed out. So memory does not depend on how many items there are. Items are taken in the
thread that asks for futures, with the floor the user's, as in a loop of its own; a stop finds it there, and no further
item is taken.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, repeat
from typing import Any, Generic, TypeVar

from ..domain.errors import DefinitionError, MappingLengthMismatch, MappingMissingIterable
from ..domain.states import State, value_of
from ..engine.annotations import allow_failure, quote, unmapped
from ..engine.context import RunContext, current
from ..engine.futures import PenstockFuture, PenstockFutureList, wait, wait_in_engine
from ..engine.inputs import resolve
from ..engine.progress import Progress, of_map
from ..engine.stopping import Ready, shielded
from . import capture

R = TypeVar("R")

# How many items are on their way, unless the caller says so; and how many hand-overs at least.
WINDOW = 1000
CHUNKS_ON_THE_WAY = 8
# So many items at most are taken, and then submitted together; fewer where taking them takes as long as this while
# others are done.
AT_ONCE = 64
IMPATIENCE = 0.01

# Submits calls of a task for rows of arguments, so many at a time to a worker: their futures.
Row = tuple[tuple[Any, ...], dict[str, Any]]
Submit = Callable[[RunContext[Any] | None, Any, list[Row], Any, int, Progress | None], list[Any]]


def map_task(submit: Submit, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Any) -> Any:
    """Submits a task for each item; futures, or, with `return_state`, the states when all ended."""
    return_state, wait_for = options
    chunk_size = _chunk_size(task, kwargs)
    columns = [_column(value) for value in (*args, *kwargs.values())]
    lengths = {len(items) for items, spread in columns if spread}
    _check_spread(task, "map", lengths)
    if len(lengths) > 1:
        raise _mismatch(task, "map", ", ".join(str(len(items)) for items, spread in columns if spread))
    names, count, total = list(kwargs), len(args), lengths.pop()
    parent = current.get()
    progress = _progress(task, parent, total)
    futures: PenstockFutureList[Any] = PenstockFutureList()
    rows = zip(*(items if spread else repeat(items, total) for items, spread in columns), strict=True)
    calls = ((row[:count], dict(zip(names, row[count:], strict=True))) for row in rows)
    try:
        while some := list(islice(calls, AT_ONCE if chunk_size == 1 else chunk_size)):
            futures.extend(shielded(submit, parent, task, some, wait_for, chunk_size, progress))
    finally:
        if progress is not None:
            progress.all_taken()
    if return_state:
        futures.wait()
        return [future.state for future in futures]
    return futures


def _progress(task: Any, parent: RunContext[Any] | None, total: int | None) -> Progress | None:
    """What is shown on a terminal of a large map. What the program prints meanwhile is to be written above it."""
    progress = of_map(task.name, None if parent is None else parent.flow_context, total)
    if progress is not None:
        capture.streams()
    return progress


def _chunk_size(task: Any, kwargs: dict[str, Any]) -> int:
    """Of `map`. A parameter of the task's own that has this name comes first."""
    if "chunk_size" not in kwargs or task.takes("chunk_size"):
        return 1
    return check_count(kwargs.pop("chunk_size"), f"chunk_size of {task.name!r}.map")


def check_count(value: Any, of: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DefinitionError(f"{of} must be a whole number, 1 or more; it is {value!r}.")
    return value


def _check_spread(task: Any, how: str, spread: Any) -> None:
    if not spread:
        raise MappingMissingIterable(
            f"{task.name!r}.{how} was given nothing to spread over: at least one argument must be an iterable, and not "
            "in unmapped(...)."
        )


def _mismatch(task: Any, how: str, lengths: str) -> MappingLengthMismatch:
    return MappingLengthMismatch(
        f"The iterables given to {task.name!r}.{how} differ in length: {lengths}. Put unmapped(...) around what is the "
        "same for each call."
    )


def _column(value: Any, lazily: bool = False) -> tuple[Any, bool]:
    """An argument's items, and whether it is spread. The result of a future is waited for, to be spread."""
    if isinstance(value, unmapped):
        return value.value, False
    if isinstance(value, allow_failure):
        if isinstance(value.value, PenstockFuture | State) and not _completed(value.value):
            return value, False  # its exception, for each call
        items, spread = _column(value.value, lazily)
        if not spread:
            return allow_failure(items), False
        return (map(allow_failure, items) if lazily else [allow_failure(item) for item in items]), True
    if isinstance(value, PenstockFuture | State):
        if isinstance(value, PenstockFuture):
            value.wait()
        value = resolve(value)
    if isinstance(value, quote):
        value = value.unwrap()
    if isinstance(value, str | bytes | bytearray) or not hasattr(value, "__iter__"):
        return value, False
    return (value if lazily or isinstance(value, list | tuple | range) else list(value)), True


def _completed(value: PenstockFuture[Any] | State[Any]) -> bool:
    if isinstance(value, PenstockFuture):
        value.wait()
        return value.state.is_completed()
    return value.is_completed()


class PenstockFutureStream(Generic[R]):
    """What `.stream` gives: an iterator of futures that are done, each once. For one thread at a time.

    `taken` is how many items were taken from the inputs, `total` how many there are, where that is known. Leaving the
    stream's `with`, or `close()`, ends the taking; so does the end of the flow run. What was submitted goes on, as what
    `.submit` gave.

    Example::

        with parse.stream(lines(), chunk_size=100) as futures:
            for future in futures:
                total += future.result()
    """

    def __init__(
        self,
        submit: Submit,
        task: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        wait_for: Any,
        *,
        ordered: bool,
        buffersize: int | None,
        chunk_size: int,
    ) -> None:
        of = f"{task.name!r}.stream"
        self._chunk = check_count(chunk_size, f"chunk_size of {of}")
        self._most = max(WINDOW, CHUNKS_ON_THE_WAY * self._chunk)
        if buffersize is not None:
            self._most = max(check_count(buffersize, f"buffersize of {of}"), self._chunk)
        self._step = max(1, min(AT_ONCE, self._most // 8)) if self._chunk == 1 else self._chunk
        self._inputs = [value for value in (*args, *kwargs.values()) if hasattr(value, "close")]
        columns = [_column(value, lazily=True) for value in (*args, *kwargs.values())]
        spread = [items for items, is_spread in columns if is_spread]
        _check_spread(task, "stream", spread)
        lengths = {len(items) for items in spread if hasattr(items, "__len__")}
        if len(lengths) > 1:
            raise _mismatch(task, "stream", ", ".join(str(len(items)) for items in spread if hasattr(items, "__len__")))
        self.total: int | None = lengths.pop() if lengths else None
        self.taken = 0
        self._iterators = [iter(items) if is_spread else None for items, is_spread in columns]
        self._shared = [items for items, _ in columns]
        self._names, self._count = list(kwargs), len(args)
        self._progress = _progress(task, current.get(), self.total)
        self._submit, self._task, self._wait_for = submit, task, wait_for
        self._parent = current.get()
        self._ordered = ordered
        self._waiting: deque[PenstockFuture[R]] = deque()  # in their order; not in use where that does not matter
        self._done: deque[PenstockFuture[R]] = deque()
        self._on_way = 0
        self._arrived = Ready()
        self._ended = False
        self._problem: Exception | None = None
        flow = self._parent.flow_context if self._parent is not None else None
        self._open = [] if flow is None else flow.streams
        self._open.append(self)

    def __iter__(self) -> Iterator[PenstockFuture[R]]:
        return self

    def __enter__(self) -> PenstockFutureStream[R]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> PenstockFuture[R]:
        """The next future that is done. Raises what the inputs raised, when all that was taken before is handed out."""
        try:
            if not self._ended and self._most - self._on_way >= self._step:
                self._fill()
            if self._on_way:
                return self._next()
        except BaseException:
            self.close()
            raise
        self.close()
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem
        raise StopIteration

    def results(self, raise_on_failure: bool = True) -> Iterator[R]:
        """The values instead of futures; raises as `PenstockFuture.result` does, and then goes no further."""
        for future in self:
            yield value_of(future.state, raise_on_failure)

    def wait(self) -> dict[str, int]:
        """Takes all items and waits for all runs, whose values are dropped: how many ended in which state."""
        ends: dict[str, int] = {}
        for future in self:
            name = future.state.name
            ends[name] = ends.get(name, 0) + 1
        return ends

    def close(self) -> None:
        """Takes no more items, and closes inputs that can be closed (generators, files)."""
        self._ended = True
        if self._progress is not None:
            self._progress.all_taken()
        with contextlib.suppress(ValueError):  # it is closed already
            self._open.remove(self)
        inputs, self._inputs = self._inputs, []
        self._iterators = []
        for each in inputs:
            each.close()

    def _fill(self) -> None:
        """Takes items and submits them, until the window is full or what is done should be handed out."""
        began = time.monotonic()
        while not self._ended and (room := self._most - self._on_way) > 0:
            rows = self._take(min(room, self._step), began)
            if rows:
                self._on_way += len(rows)
                self.taken += len(rows)
                self._follow(self._submitted(rows))
            if self._is_next_done() and time.monotonic() - began > IMPATIENCE:
                return

    def _take(self, most: int, began: float) -> list[Row]:
        """The next items of the inputs, with what is the same for each."""
        rows: list[Row] = []
        count, names, shared = self._count, self._names, self._shared
        try:
            for _ in range(most):
                row = self._row(shared)
                if row is None:
                    self._ended = True
                    break
                rows.append((tuple(row[:count]), dict(zip(names, row[count:], strict=True))))
                if self._chunk == 1 and time.monotonic() - began > IMPATIENCE and self._is_next_done():
                    break
        except Exception as error:  # what was taken before it is run, as by any iterator that comes to a bad item
            self._problem, self._ended = error, True
        return rows

    def _row(self, shared: list[Any]) -> list[Any] | None:
        """The next item of each input; None when they are at their end."""
        row, missing = [], 0
        for iterator, value in zip(self._iterators, shared, strict=True):
            if iterator is None:
                row.append(value)
                continue
            item = next(iterator, _END)
            missing += item is _END
            row.append(item)
        if not missing:
            return row
        if missing < sum(iterator is not None for iterator in self._iterators):
            raise _mismatch(self._task, "stream", f"one has {self.taken:,} or a few more, another goes on")
        return None

    def _submitted(self, rows: list[Row]) -> list[PenstockFuture[R]]:
        return shielded(self._submit, self._parent, self._task, rows, self._wait_for, self._chunk, self._progress)

    def _follow(self, futures: Iterable[PenstockFuture[R]]) -> None:
        if self._ordered:
            self._waiting.extend(futures)
            return
        for future in futures:
            future.add_done_callback(self._arrive)

    def _arrive(self, future: PenstockFuture[R]) -> None:
        self._done.append(future)
        self._arrived.tell()

    def _is_next_done(self) -> bool:
        return bool(self._done) or (bool(self._waiting) and self._waiting[0].done())

    def _next(self) -> PenstockFuture[R]:
        if self._ordered:
            future = self._waiting[0]
            if not future.done():
                wait([future])
            self._waiting.popleft()
        else:
            while not self._done:
                self._arrived.again()
                if not self._done:
                    wait_in_engine(self._arrived, None)
            future = self._done.popleft()
        self._on_way -= 1
        return future

    def __repr__(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        return f"<a stream of {self._task.name!r}: {self.taken:,}{of} item(s) taken, {self._on_way:,} on their way>"


_END = object()
