"""`concurrency` and `rate_limit`: slots of limits around a piece of a user's code, in a run or outside of runs.

Law: user code waits here, so a stop may arrive at any moment: it ends the wait, and whatever was claimed is given back.
Slots end with the block; should the block never end, with the run; should that not be ended, with the process. What is
done is written once, as a script that says what it waits for; two drivers wait, one of them in a coroutine.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .. import connect
from ..domain.concurrency import MOST_NAMES, MOST_SLOTS, shown, why_waiting
from ..domain.errors import AcquireConcurrencySlotTimeoutError, ConcurrencyError, ConcurrencySlotAcquisitionError
from ..engine import slots as of_runs
from ..engine.context import current
from ..engine.futures import check_patience, wait_in_engine
from ..engine.runlog import say
from ..engine.stopping import Ready, unbroken
from ..ledger.contract import Flush

if TYPE_CHECKING:
    from ..engine.effects import Waited
    from ..engine.runtime import Runtime
    from ..ledger.slots import Place, Wish

INFO = 20
# Prefect asks again about once a second; here nobody has to ask, and a retry is a second of patience.
RETRY_SECONDS = 1.0
# How often a rate limit of 0 is looked at: it may be opened.
CLOSED_SECONDS = 0.5
# A record that is there answers sooner.
ANSWER_SECONDS = 5.0
UNANSWERED = "The record of the limits does not answer"


class concurrency:
    """Holds slots of limits for the time of a block: `with concurrency("database"): …`, or `async with`.

    Slots of several limits are taken together, all or none; so blocks that want the same limits in any order cannot
    wait for each other. Who comes first is served first. Slots are free when the block ends, however it ends, and when
    the run or the process does. A name without a limit limits nothing; slots of a rate limit come free by themselves.

    `occupy` is how many slots of each limit, `timeout_seconds` how long to wait for them (None: as long as it takes).
    With `max_retries=0` it is not waited, with n for n seconds (Prefect asks again about once a second). With `strict`
    a name without a limit is an error.

    Raises `AcquireConcurrencySlotTimeoutError` (a TimeoutError) after `timeout_seconds`,
    `ConcurrencySlotAcquisitionError` after `max_retries`, and for a missing limit with `strict`; `ConcurrencyError` (a
    ValueError) for more slots than a limit has.

    Example::

        with concurrency("database", timeout_seconds=60):
            query()
    """

    def __init__(
        self,
        names: str | Iterable[str],
        occupy: int = 1,
        timeout_seconds: float | None = None,
        max_retries: int | None = None,
        strict: bool = False,
    ) -> None:
        self._wanted = _Wanted(names, occupy, timeout_seconds, max_retries, strict)
        # Entered again inside itself, or by several threads, it holds slots for each time.
        self._held: list[_Hold] = []

    def __enter__(self) -> None:
        self._held.append(_blocking(_Hold(self._wanted), _Hold.take))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unbroken(self._held.pop().end)

    async def __aenter__(self) -> None:
        self._held.append(await _async(_Hold(self._wanted), _Hold.take))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unbroken(self._held.pop().end)


def rate_limit(
    names: str | Iterable[str], occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False
) -> None:
    """Waits until rate limits allow for `occupy` more: limits whose slots come free by themselves, so many a second
    (`slot_decay_per_second`). All processes of a record together keep to the rate, in the order in which they came.

    Raises `AcquireConcurrencySlotTimeoutError` (a TimeoutError), at once, when it would be longer than
    `timeout_seconds`; `ConcurrencySlotAcquisitionError` for a limit that has no decay, and with `strict` for a name
    without a limit; `ConcurrencyError` (a ValueError) for more slots than a limit has.

    Example::

        for page in range(100):
            rate_limit("api")
            fetch(page)
    """
    unbroken(_blocking(_Hold(_Wanted(names, occupy, timeout_seconds, None, strict)), _Hold.reserve).end)


async def arate_limit(
    names: str | Iterable[str], occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False
) -> None:
    """`rate_limit()` to be awaited."""
    (await _async(_Hold(_Wanted(names, occupy, timeout_seconds, None, strict)), _Hold.reserve)).end()


class _Wanted:
    """What a caller wants, checked. Raises `ConcurrencyError`, or ValueError for a time that is none."""

    def __init__(self, names: Any, occupy: Any, timeout_seconds: float | None, max_retries: Any, strict: bool) -> None:
        self.names = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names or ()))
        if len(self.names) > MOST_NAMES or not all(isinstance(name, str) and name for name in self.names):
            raise ConcurrencyError(
                f"Concurrency limits are named by up to {MOST_NAMES} texts; {names!r:.80} is not that."
            )
        if isinstance(occupy, bool) or not isinstance(occupy, int) or not 1 <= occupy <= MOST_SLOTS:
            raise ConcurrencyError(f"occupy is a whole number from 1 to {MOST_SLOTS:,}; it is {occupy!r:.40}.")
        if max_retries is not None and (isinstance(max_retries, bool) or not isinstance(max_retries, int)):
            raise ConcurrencyError(f"max_retries is a whole number, or None; it is {max_retries!r:.40}.")
        self.occupy = occupy
        self.strict = strict
        self.timeout = check_patience(timeout_seconds)
        self.retries = None if max_retries is None else max(max_retries, 0)
        times = [self.timeout, None if self.retries is None else self.retries * RETRY_SECONDS]
        # seconds; None: for ever
        self.patience = min((time for time in times if time is not None), default=None)

    def given_up(self, why: str) -> ConcurrencyError:
        """The error of who has waited long enough."""
        if self.retries is not None and self.patience != self.timeout:
            return ConcurrencySlotAcquisitionError(f"{why}; max_retries={self.retries} is used up.")
        return AcquireConcurrencySlotTimeoutError(f"{why}; timeout_seconds={self.timeout:g} is over.")


class _Pause:
    """Something to be waited for, at most so many seconds; or only seconds; or a call that must not block a loop."""

    __slots__ = ("call", "seconds", "what")

    def __init__(
        self, what: Waited | None, seconds: float | None = None, call: Callable[[], None] | None = None
    ) -> None:
        self.what = what
        self.seconds = seconds
        self.call = call


# A script says what it waits for, and is told whether that happened.
_Script = Generator[_Pause, bool | None, None]


class _Hold:
    """Slots of one block, from the wish for them to their end."""

    def __init__(self, wanted: _Wanted) -> None:
        self._wanted = wanted
        self._context = current.get()
        self._outside: Runtime | None = None
        self._place: Place | None = None
        self._wish: Wish | None = None
        self._deadline: float | None = None

    @property
    def _runtime(self) -> Runtime:
        runtime = self._outside if self._context is None else self._context.runtime
        assert runtime is not None
        return runtime

    def _left(self) -> float | None:
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def _left_to_ask(self) -> float | None:
        """Who does not want to wait for slots waits for the answer all the same, if it comes soon."""
        left = self._left()
        return None if left is None else max(left, ANSWER_SECONDS)

    def _begin(self) -> _Script:
        if self._wanted.patience is not None:
            self._deadline = time.monotonic() + self._wanted.patience
        if self._context is None:
            yield _Pause(None, call=self._attend)

    def _attend(self) -> None:
        """Outside of runs nobody vouches for this process yet: what it holds would be taken for a dead one's."""
        self._outside = runtime = connect.runtime()
        runtime.ledger.attend()
        runtime.ledger.ask(Flush())

    def take(self) -> _Script:
        """Takes slots of all limits."""
        wanted = self._wanted
        if not wanted.names:
            return
        yield from self._begin()
        self._place = place = self._claim()
        if not (yield _Pause(place.answered, self._left_to_ask())):
            raise wanted.given_up(UNANSWERED)
        claimed = place.outcome()
        if not claimed.taken:
            why = why_waiting(claimed, wanted.occupy)
            if wanted.patience == 0:
                raise wanted.given_up(why)
            began = time.monotonic()
            self._say(why)
            with self._traced(wanted.names):
                if not (yield _Pause(place.arrived, self._left())):
                    raise wanted.given_up(why)
                place.outcome()
            self._say(f"Has {_slots(wanted.occupy, wanted.names)} after {time.monotonic() - began:.2f} s")
        if claimed.rates:
            yield from self._reserve(claimed.rates)

    def _claim(self) -> Place:
        wanted = self._wanted
        wait = wanted.patience != 0
        if self._context is not None:
            return of_runs.claim(self._context, wanted.names, wanted.occupy, strict=wanted.strict, wait=wait)
        runtime = self._runtime
        return runtime.slots().claim(
            wanted.names, wanted.occupy, holder=runtime.holder, strict=wanted.strict, wait=wait
        )

    def reserve(self) -> _Script:
        """Takes slots of rate limits, and waits until they count."""
        if self._wanted.names:
            yield from self._begin()
            yield from self._reserve(self._wanted.names)

    def _reserve(self, names: tuple[str, ...]) -> _Script:
        wanted, slots = self._wanted, self._runtime.slots()
        told = False
        while True:
            left = self._left()
            self._wish = wish = slots.reserve(names, wanted.occupy, strict=wanted.strict, longest=left)
            if not (yield _Pause(wish.answered, self._left_to_ask())):
                raise wanted.given_up(UNANSWERED)
            reserved = wish.outcome()
            if reserved.taken:
                break
            self._wish = None
            if left is not None and (reserved.seconds > left or left <= 0):
                raise wanted.given_up(f"{_slots(wanted.occupy, names)} would come free in {reserved.seconds:.2f} s")
            if not told:
                told = True
                self._say(f"Waiting for {_slots(wanted.occupy, names)}, which is closed (it has 0 slots)")
            yield _Pause(None, min(CLOSED_SECONDS, CLOSED_SECONDS if left is None else left))
        if reserved.seconds > 0:
            self._say(f"Waiting {reserved.seconds:.2f} s for {_slots(wanted.occupy, names)}")
            with self._traced(names):
                yield _Pause(None, reserved.seconds)
        self._wish = None

    def end(self) -> None:
        """Everything is given back that does not come free by itself."""
        place, self._place = self._place, None
        wish, self._wish = self._wish, None
        outside, self._outside = self._outside, None
        if place is None and wish is None and outside is None:
            return
        runtime = outside if self._context is None else self._context.runtime
        assert runtime is not None
        slots = runtime.slots()
        if place is not None:
            slots.give_back(place)
        if wish is not None:
            slots.give_up(wish, self._wanted.occupy)
        if outside is not None:
            outside.ledger.leave()

    @contextlib.contextmanager
    def _traced(self, names: tuple[str, ...]) -> Iterator[None]:
        """For the time of a wait."""
        trace = None if self._context is None else self._context.trace
        if trace is None:
            yield
            return
        wait = trace.waits("slot", ", ".join(map(shown, names)))
        try:
            yield
        finally:
            wait.end()

    def _say(self, what: str) -> None:
        if self._context is not None:
            say(self._context, INFO, what)


def _slots(occupy: int, names: tuple[str, ...]) -> str:
    listed = ", ".join(repr(shown(name)) for name in names)
    return f"{occupy} slot{'' if occupy == 1 else 's'} of {listed}"


# --- the two ways to wait --------------------------------------------------------------------------------------------


def _blocking(hold: _Hold, what: Callable[[_Hold], _Script]) -> _Hold:
    """In the calling thread. No stop is raised in the script, but between its steps; then all is given back."""
    script, answer = what(hold), None
    try:
        while True:
            try:
                pause = unbroken(script.send, answer)
            except StopIteration:
                return hold
            answer = _wait(pause)
    except BaseException:
        script.close()
        unbroken(hold.end)
        raise


def _wait(pause: _Pause) -> bool:
    if pause.call is not None:
        unbroken(pause.call)
        return True
    ready, happened = Ready(), threading.Event()
    if pause.what is not None:

        def tell(_: Any) -> None:
            happened.set()
            ready.tell()

        pause.what.add_done_callback(tell)
    wait_in_engine(ready, pause.seconds)
    return happened.is_set()


async def _async(hold: _Hold, what: Callable[[_Hold], _Script]) -> _Hold:
    """In the calling coroutine; its loop goes on."""
    script, answer = what(hold), None
    try:
        while True:
            try:
                pause = script.send(answer)
            except StopIteration:
                return hold
            answer = await _await(pause)
    except BaseException:
        script.close()
        hold.end()
        raise


async def _await(pause: _Pause) -> bool:
    if pause.call is not None:
        await asyncio.to_thread(pause.call)
        return True
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    if pause.what is not None:

        def tell(_: Any) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ready.set)

        pause.what.add_done_callback(tell)
    try:
        await asyncio.wait_for(ready.wait(), pause.seconds)
    except TimeoutError:
        return False
    return True
