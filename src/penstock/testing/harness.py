"""`test_harness`: a Penstock of its own for one test, in memory, that leaves nothing behind.

Law: inside, flows and tasks are what they are in earnest: the same engine, the same rules, the same SQL. Only where the
record is (in memory), what time it is, and what people and the world do is the test's.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ContextDecorator, ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from .. import connect
from ..client.blocking import SyncPenstockClient
from ..domain.filters import RunFilter
from ..domain.runs import FlowRun, TaskRun
from ..domain.states import State, StateType
from ..domain.stops import SHUTDOWN, Stop
from ..engine import asynchronous, live, masking
from ..engine.clock import SYSTEM, Clock
from ..engine.stopping import StopDelivered
from ..engine.timers import TIMERS
from ..flows import calls, launched, run_logger
from ..services import scheduling as planning
from ..services.loops import scheduling
from ..settings import current
from ..settings.current import settings_everywhere
from ..store.memory import MemoryStore
from . import doubles, sleeping
from .clock import FakeClock
from .doubles import Answer, Doubles, Happening

C = TypeVar("C", bound=Clock)
EVERYTHING = 100_000
# Those that were entered and not left yet: one that nobody holds would be left when Python collects it.
_open: list[Any] = []
# How long runs that are under way when a test is over have to end.
LAST_SECONDS = 1.0


class TestHarness(Generic[C]):
    """What `test_harness()` gives: what the test has happen, and what came of it."""

    __test__ = False  # pytest: this is no class of tests

    def __init__(self, clock: C, home: Path, prepared: Doubles) -> None:
        self.clock = clock
        self.home = home
        self._prepared = prepared
        self._deployed: dict[UUID, Any] = {}
        self._planned = clock.now()

    # --- what happens -------------------------------------------------------------------------------------------------

    def stub(
        self,
        target: Any,
        *,
        returns: Any = None,
        raises: BaseException | type[BaseException] | None = None,
        calls: Callable[..., Any] | None = None,
        times: int | None = None,
    ) -> Happening:
        """Has something else stand for the function of a flow or task (the object, or a name): a value, an exception,
        or another function, which is called with the same arguments. The run is a run all the same: retries, caching,
        states, hooks are as ever.

        `times`: for so many attempts only, then its own code is run again (default: each time). Of several that fit an
        attempt, the first to be prepared counts. What is given back says in `happened` how often it was used.

        Example::

            harness.stub(fetch, raises=ConnectionError, times=2)  # the third attempt is the real one
        """
        doubles.check_target(target)
        if sum(each is not None for each in (returns, raises, calls)) > 1:
            raise TypeError("A stub returns something, raises something, or calls something; one of them.")
        kind = raises if isinstance(raises, type) else type(raises)
        if raises is not None and not issubclass(kind, BaseException):
            raise TypeError(f"raises= is an exception, or a class of them; it is {raises!r:.80}.")
        return self._prepared.add(Happening(target, times, doubles.stub(returns, raises, calls)))

    def time_out(self, target: Any, *, times: int | None = 1) -> Happening:
        """Has a flow or task be at work when its `timeout_seconds` are over. (With a `FakeClock`, code that sleeps
        times out by itself.)

        The run fails with `DefinitionError` where it has no `timeout_seconds`.
        """
        doubles.check_target(target)
        return self._prepared.add(Happening(target, times, doubles.timing_out))

    def cancel(self, target: Any, *, at: Any = None, times: int | None = 1) -> Happening:
        """Has somebody cancel a flow's or task's run as its code begins; or, with `at`, as the code of that task or
        subflow of it does.

        Example::

            harness.cancel(etl, at=load)
            assert etl(return_state=True).is_cancelled()
        """
        doubles.check_target(target)
        moment = target if at is None else doubles.check_target(at)
        return self._prepared.add(Happening(moment, times, doubles.cancelled(target), target))

    def crash(self, target: Any, *, times: int | None = 1) -> Happening:
        """Has the process of a run be gone as its code begins. A task is `Crashed`, and tried again by its `retries`; a
        flow is `Crashed`, and its call raises `penstock.testing.Crash`."""
        doubles.check_target(target)
        return self._prepared.add(Happening(target, times, doubles.crashing))

    def resume(
        self,
        target: Any,
        run_input: Any = None,
        *,
        key: str | None = None,
        after: float | timedelta = 0,
        comment: str | None = None,
        times: int | None = None,
    ) -> None:
        """Has somebody resume the pauses of a flow's runs, with this input, so long after they began. `key`: the pause
        of that key only.

        Example::

            harness.resume(release, {"approved": True}, after=timedelta(days=3))
        """
        self._answer(target, key, after, times, doubles.resuming(run_input, comment))

    def approve(
        self,
        target: Any,
        run_input: Any = None,
        *,
        key: str | None = None,
        after: float | timedelta = 0,
        by: str | None = None,
        comment: str | None = None,
        times: int | None = None,
    ) -> None:
        """Has somebody approve what a flow's runs ask for with `require_approval`; as in `resume`. `by`: the name of
        who does, where that has to be one of its `approvers`."""
        self._answer(target, key, after, times, doubles.approving(run_input, comment, by))

    def reject(
        self,
        target: Any,
        *,
        key: str | None = None,
        after: float | timedelta = 0,
        by: str | None = None,
        comment: str | None = None,
        times: int | None = None,
    ) -> None:
        """Has somebody reject it; as in `approve`."""
        self._answer(target, key, after, times, doubles.rejecting(comment, by))

    def _answer(self, target: Any, key: str | None, after: Any, times: int | None, give: Callable[..., Any]) -> None:
        answer = Answer(doubles.check_target(target), key, doubles.seconds_of(after), times, give)
        self._prepared.add_answer(answer)

    # --- schedules ----------------------------------------------------------------------------------------------------

    def deploy(self, flow: Any, name: str = "test", **options: Any) -> UUID:
        """Records a deployment of a flow, with the options of `to_deployment`; its id. Wherever the flow is defined:
        `run_due` runs it in this process."""
        options.setdefault("entrypoint", f"{flow.name}.py:{flow.name}")
        made = flow.to_deployment(name, **options).apply()
        self._deployed[made.id] = flow
        scheduling.once(self._desk())
        return made.id  # type: ignore[no-any-return]

    def run_due(self) -> list[FlowRun]:
        """Runs what is due by now of the deployments made by `deploy`, one run after the other, in this thread; the
        runs, as they ended.

        Example::

            harness.deploy(report, cron="0 6 * * *")
            harness.clock.advance(timedelta(days=1))
            (run,) = harness.run_due()
        """
        self._plan()
        ended = []
        for run in reversed(self.flow_runs(state_types=(StateType.SCHEDULED,))):
            flow, due = self._deployed.get(run.deployment_id) if run.deployment_id else None, run.expected_start_time
            if flow is not None and (due is None or due <= self.clock.now()):
                launched.execute(run.id, flow)
                ended.append(self.client().read_flow_run(run.id))
        return ended

    def _desk(self) -> Any:
        return connect.desk(connect.local_ledger(current()).store, "loops")

    def _plan(self) -> None:
        """Plans as a server does all the time, also for the time that was jumped over: plans reach a few runs ahead."""
        desk, now = self._desk(), self.clock.now()
        while True:
            planned = [run.expected_start_time for run in self.flow_runs(state_types=(StateType.SCHEDULED,))]
            moments = [moment for moment in planned if moment is not None and self._planned < moment <= now]
            if not moments:
                break
            self._planned = max(moments)
            planning.plan(desk.store, self._planned)
        self._planned = now
        scheduling.once(desk)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def client(self) -> SyncPenstockClient:
        """A client of this record, while this harness is the innermost one; what was reported so far is in it. Raises
        `RuntimeError` when the test is over, or in another harness."""
        if self._prepared.over:
            raise RuntimeError("The test is over, and its record is gone: ask within `with test_harness() as harness`.")
        if current().home != self.home:
            raise RuntimeError("Another harness is within this one, and has the record now: ask that one.")
        connect.settle()
        return SyncPenstockClient()

    def flow_runs(self, **filter: Any) -> list[FlowRun]:
        """Flow runs, the newest first; `filter` are fields of `RunFilter`: `flow_names=("etl",)`."""
        return self.client().read_flow_runs(RunFilter(**filter), limit=EVERYTHING)

    def task_runs(self, **filter: Any) -> list[TaskRun]:
        """Task runs, the newest first; as in `flow_runs`."""
        return self.client().read_task_runs(RunFilter(**filter), limit=EVERYTHING)

    def states(self, run: FlowRun | TaskRun | UUID) -> list[State[Any]]:
        """The states that a run was in, the first first."""
        client = self.client()
        if isinstance(run, TaskRun):
            return client.read_task_run_states(run.id)
        return client.read_flow_run_states(run if isinstance(run, UUID) else run.id)

    def logs(self, run: FlowRun | TaskRun | UUID | None = None) -> list[str]:
        """The lines that a run wrote, in their order; without a run, those of all flow runs."""
        client = self.client()
        if isinstance(run, TaskRun):
            lines = client.iter_logs(task_run_id=run.id)
            return [line.message for line in lines]
        ids = [run if isinstance(run, UUID) else run.id] if run is not None else [each.id for each in self.flow_runs()]
        return [line.message for id in ids for line in client.iter_logs(id)]


class test_harness(ContextDecorator, Generic[C]):
    """A Penstock for one test, or for several: a record in memory, a home and settings of its own, and nothing of them
    left at the end. Works as a context manager (also `async with`), and as a decorator.

    - `clock`: a `FakeClock`, where nothing is to be waited for; default: the system's.
    - `settings`: settings of the test: `{PENSTOCK_LOGGING_LEVEL: "DEBUG"}`. Settings of the environment hold, but for
      those that say where the record is.

    Inside, all threads of the process use it; two may be nested, and then the inner one counts. Processes that code
    starts itself do not (those of `ProcessPoolTaskRunner` and `isolation="process"` do).

    Raises at its end what an answer that was prepared could not do (a pause that was resumed with a wrong input, say).

    Example::

        def test_etl():
            with test_harness() as harness:
                assert etl() == 3
                assert [run.name for run in harness.task_runs()] == ["load-0", "extract-0"]
    """

    def __init__(self, clock: C | None = None, *, settings: Mapping[Any, Any] | None = None) -> None:
        self._clock: Any = SYSTEM if clock is None else clock
        self._settings = settings
        self._stack = ExitStack()

    def _recreate_cm(self) -> Self:
        return type(self)(None if self._clock is SYSTEM else self._clock, settings=self._settings)

    def __call__(self, fn: Any) -> Any:
        """As a decorator, also of coroutine functions."""
        if not inspect.iscoroutinefunction(fn):
            return super().__call__(fn)

        @functools.wraps(fn)
        async def within(*args: Any, **kwargs: Any) -> Any:
            with self._recreate_cm():
                return await fn(*args, **kwargs)

        return within

    def __enter__(self) -> TestHarness[C]:
        if self in _open:
            raise RuntimeError("This harness is entered already: make another for what is within it.")
        with ExitStack() as stack:
            home = Path(tempfile.mkdtemp(prefix="penstock-test-"))
            stack.callback(shutil.rmtree, home, ignore_errors=True)
            store = MemoryStore(home / "penstock.db")
            stack.callback(store.close)
            stack.enter_context(settings_everywhere(_settings(home, store, self._settings or {})))
            stack.callback(masking.restore, masking.MASKER.learned())
            fake = self._clock if isinstance(self._clock, FakeClock) else None
            prepared = Doubles(self._clock, sleeping.prepare_for(fake))
            if fake is not None:
                stack.enter_context(_going_on(fake))
            stack.callback(TIMERS.rest)
            stack.enter_context(connect.rehearsing(store, self._clock, prepared))
            stack.callback(calls.forget_outside)
            stack.enter_context(_plain_loggers())
            stack.callback(_end_runs, prepared)
            self._prepared = prepared
            self._stack = stack.pop_all()
        _open.append(self)
        return TestHarness(self._clock, home, prepared)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self not in _open or _open[-1] is not self:
            raise RuntimeError("Harnesses are left in the order that is the reverse of how they were entered.")
        _open.remove(self)
        self._prepared.over = True
        self._stack.close()
        if self._prepared.problems and (error is None or isinstance(error, StopDelivered)):
            raise self._prepared.problems[0] from error

    async def __aenter__(self) -> TestHarness[C]:
        return self.__enter__()

    async def __aexit__(self, *how: Any) -> None:
        self.__exit__(*how)


def _end_runs(prepared: Doubles) -> None:
    """What the test has begun in other threads and not waited for ends with it."""

    def left() -> list[Any]:
        return [context for context in list(live.RUNS.values()) if context.runtime.double is prepared]

    for context in left():
        if context.parent is None:
            context.halt(Stop(SHUTDOWN, "The test is over.", "test_harness", LAST_SECONDS))
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: not left(), 2 * LAST_SECONDS)


def _settings(home: Path, store: MemoryStore, given: Mapping[Any, Any]) -> dict[Any, Any]:
    ours: dict[Any, Any] = {
        "PENSTOCK_HOME": str(home),
        "PENSTOCK_DATABASE_PATH": str(store.path),
        "PENSTOCK_DATABASE_URL": "",
        "PENSTOCK_API_URL": "",
        "PENSTOCK_LOCAL_STORAGE_PATH": str(home / "storage"),
        "PENSTOCK_STOP_WATCHDOG": False,
        "PENSTOCK_STOP_KILL": False,
    }
    return ours | {getattr(key, "name", key): value for key, value in given.items()}


@contextlib.contextmanager
def _plain_loggers() -> Any:
    """Functions that are called without a run may ask for its logger."""
    before, run_logger.outside_allowed = run_logger.outside_allowed, True
    try:
        yield
    finally:
        run_logger.outside_allowed = before


@contextlib.contextmanager
def _going_on(clock: FakeClock) -> Any:
    """The clock goes, and the event loops of runs go by it."""
    before = asynchronous.begins
    asynchronous.begins = clock.adopt
    clock.open()
    try:
        with sleeping.patched(clock):
            yield
    finally:
        clock.close()
        asynchronous.begins = before


def wait_until(holds: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Waits, really, until something holds, and gives it; looks a thousand times a second.

    Raises `TimeoutError` after so many seconds.
    """
    until = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > until:
            raise TimeoutError(f"It did not come true within {seconds:g} s.")
        time.sleep(0.001)
    return found
