"""`cancel_flow_run`, `cancel_task_run` and their twins: from another process, from within the run, and awaited."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from uuid import UUID, uuid4

import pytest

import penstock
from penstock import connect, flow, task
from penstock.domain.runs import FlowRun, TaskRun
from penstock.domain.states import State, make
from penstock.engine import identity
from penstock.engine.clock import SYSTEM
from penstock.exceptions import InvalidId, ObjectNotFound, TransitionRefused
from penstock.flow_runs import acancel_flow_run, acancel_task_run, cancel_flow_run, cancel_task_run
from penstock.flows import cancelling
from penstock.settings import PENSTOCK_JOURNAL_INTERVAL_SECONDS, temporary_settings
from penstock.store import flow_runs
from penstock.store.sqlite import SqliteStore
from penstock.watchdog import detached, enforcement

from .kit import Programs, Record, until

CALLS = [cancel_flow_run, cancel_task_run]


def awaited(call: Any) -> Callable[..., Any]:
    return lambda *args, **options: asyncio.run(call(*args, **options))


FLOW_RUNS = [pytest.param(cancel_flow_run, id="sync"), pytest.param(awaited(acancel_flow_run), id="async")]
TASK_RUNS = [pytest.param(cancel_task_run, id="sync"), pytest.param(awaited(acancel_task_run), id="async")]

SLEEPING = """
    import time
    from penstock import flow, task
    @task
    def nap():
        time.sleep(60)
    @flow
    def main():
        print(nap(return_state=True).name, flush=True)
    main()
"""


def napping(record: Record) -> TaskRun:
    """The task run of a program that was just started."""

    def found() -> TaskRun | None:
        return next((run for run in record.task_runs("nap") if run.state.is_running()), None)

    made = until(found)
    assert made is not None
    return made


def kept(*names: str, **fields: Any) -> FlowRun:
    """A flow run in the record, of nobody."""
    states = tuple(make(name) for name in names)
    id = SYSTEM.new_id()
    run = FlowRun(id=id, name="kept", created=SYSTEM.now(), states=states, flow_id=id, flow_name="f", **fields)
    store = SqliteStore(connect.current().database_path)
    with store.write() as tx:
        flow_runs.put_flow(tx, run.flow_id, "f", run.created)
        flow_runs.put(tx, run)
    store.close()
    return run


# --- another process -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cancel", FLOW_RUNS)
def test_a_run_of_another_process_is_cancelled_with_all_below_it(
    programs: Programs, record: Record, cancel: Any
) -> None:
    process = programs.start(SLEEPING)
    below = napping(record)
    run = cancel(str(below.flow_run_id), grace=10, wait=True, timeout=20)
    assert isinstance(run, FlowRun)
    assert run.id == below.flow_run_id
    assert run.state_name == "Cancelled"
    assert run.state.details["stopped"] == "raised"
    assert run.state.details["confirmed"] is True
    assert run.state.details["who"] == connect.asker("Python")
    assert record.task_run("nap").state_name == "Cancelled"
    assert "Cancelled" not in programs.finish(process).stdout


@pytest.mark.parametrize("cancel", TASK_RUNS)
def test_a_task_run_of_another_process_is_cancelled_and_its_flow_goes_on(
    programs: Programs, record: Record, cancel: Any
) -> None:
    process = programs.start(SLEEPING)
    run = cancel(napping(record).id, wait=True, timeout=20)
    assert isinstance(run, TaskRun)
    assert run.state_name == "Cancelled"
    done = programs.finish(process)
    assert (done.code, done.stdout) == (0, "Cancelled\n")


@pytest.mark.parametrize("cancel", FLOW_RUNS)
def test_without_waiting_the_run_is_given_as_it_is_then(cancel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[UUID] = []
    monkeypatch.setattr(enforcement, "launch_enforcer", lambda path, id, grace: launched.append(id))
    assert cancel(kept("Scheduled").id).state_name == "Cancelled"
    made = kept("Running", holder=identity.me())
    assert cancel(made.id).state_name == "Cancelling"
    assert launched == []  # this process hears, for it asks


def deaf_run(programs: Programs) -> FlowRun:
    """A run of a process that lives and hears nothing."""
    deaf = programs.start("import time; time.sleep(60)")
    mine = identity.me()
    holder = type(mine)(mine.host, mine.boot, deaf.pid, until(lambda: identity.started(deaf.pid)), mine.namespace)
    return kept("Running", holder=holder)


def test_a_process_that_does_not_answer_is_ended_from_outside(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[UUID] = []
    monkeypatch.setattr(enforcement, "launch_enforcer", lambda path, id, grace: launched.append(id))
    made = deaf_run(programs)
    began = time.monotonic()
    assert cancel_flow_run(made.id).state_name == "Cancelling"
    assert cancelling.ANSWER_SECONDS <= time.monotonic() - began < 5
    assert launched == [made.id]


def test_where_no_process_can_be_started_the_request_stands_and_it_is_said(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise detached.CannotStart("this is no Python")

    monkeypatch.setattr(enforcement, "launch_enforcer", fail)
    made = deaf_run(programs)
    assert cancel_flow_run(made.id).state_name == "Cancelling"
    assert f"nobody will end flow run '{made.id}' if its process does not: this is no Python" in capfd.readouterr().err


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cancel", CALLS)
@pytest.mark.parametrize("grace", [-1, float("nan"), float("inf"), True, "5", 1e300, 10**400])
def test_a_grace_that_cannot_be_is_refused_where_it_is_written(cancel: Any, grace: Any) -> None:
    made = kept("Scheduled")
    with pytest.raises(ValueError, match=r"^grace must be a number of seconds, from 0 to \d+; it is "):
        cancel(made.id, grace=grace)
    assert Record().flow_run().state_name == "Scheduled"


@pytest.mark.parametrize("cancel", CALLS)
def test_a_timeout_that_cannot_be_is_refused(cancel: Any) -> None:
    with pytest.raises(ValueError, match=r"^timeout must be"):
        cancel(uuid4(), wait=True, timeout="5")


@pytest.mark.parametrize("cancel", CALLS)
@pytest.mark.parametrize("id", ["", "abcd", None, 5, "shy-owl"])
def test_what_is_no_id_is_refused(cancel: Any, id: Any) -> None:
    with pytest.raises(InvalidId, match="is not an id"):
        cancel(id)


@pytest.mark.parametrize(("cancel", "kind"), [(cancel_flow_run, "Flow"), (cancel_task_run, "Task")])
def test_what_is_not_there_is_not_found(cancel: Any, kind: str) -> None:
    id = uuid4()
    with pytest.raises(ObjectNotFound, match=rf"^{kind} run '{id}' not found!$"):
        cancel(id)


def test_what_has_ended_is_refused(record: Record) -> None:
    @task
    def work() -> None: ...

    @flow
    def main() -> None:
        work()

    main()
    for cancel, run in ((cancel_flow_run, record.flow_run()), (cancel_task_run, record.task_run())):
        with pytest.raises(TransitionRefused, match="Reason: it already ended in state 'Completed'"):
            cancel(run.id)  # type: ignore[operator]


@pytest.mark.parametrize("cancel", FLOW_RUNS)
def test_the_timeout_is_of_the_waiting_only(cancel: Any, record: Record) -> None:
    made = kept("Running", holder=identity.me())
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=f"Flow run '{made.id}' did not end .* Cancelling. The request stands."):
        cancel(made.id, wait=True, timeout=0.1)
    assert 0.1 <= time.monotonic() - began < 5
    assert record.flow_run().state_name == "Cancelling"


# --- who asks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyError, OSError, ImportError])
def test_who_asks_is_known_even_where_the_user_has_no_name(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise error("no such user")

    monkeypatch.setattr("getpass.getuser", fail)
    assert connect.asker("Python").startswith("uid ")
    run = cancel_flow_run(kept("Scheduled").id)
    assert run.state.details is not None
    assert run.state.details["who"].endswith(" via Python")


def test_a_user_whose_name_is_no_text_can_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann\udcff")
    made = kept("Running", holder=identity.me())
    assert cancel_flow_run(made.id).state.details == {"reason": "cancel", "who": connect.asker("Python")}


# --- within the run --------------------------------------------------------------------------------------------------


def test_a_flow_cancels_itself_and_goes_no_further(record: Record) -> None:
    after = []

    @flow
    def main() -> None:
        cancel_flow_run(penstock.get_run_context().run.id)
        time.sleep(10)
        after.append(1)

    began = time.monotonic()
    state: Any = main(return_state=True)
    assert time.monotonic() - began < 5
    assert state.name == "Cancelled"
    assert record.flow_run().state_name == "Cancelled"
    assert after == []


def test_a_flow_that_waits_for_its_own_end_is_stopped_while_it_waits(record: Record) -> None:
    @flow
    def main() -> None:
        cancel_flow_run(penstock.get_run_context().run.id, wait=True)

    state: Any = main(return_state=True)
    assert state.name == "Cancelled"
    assert record.flow_run().state.details["stopped"] == "raised"  # type: ignore[index]


def test_a_flow_is_cancelled_from_another_thread_of_its_process(record: Record) -> None:
    ended: list[FlowRun] = []

    @flow
    def main() -> None:
        id = penstock.get_run_context().run.id
        thread.extend([threading.Thread(target=lambda: ended.append(cancel_flow_run(id, wait=True, timeout=20)))])
        thread[0].start()
        time.sleep(10)

    thread: list[threading.Thread] = []
    main(return_state=True)
    thread[0].join()
    assert ended[0].state_name == "Cancelled"


@pytest.mark.parametrize("submitted", [False, True])
def test_a_task_cancels_its_flow_run(record: Record, submitted: bool) -> None:
    @task
    def give_up() -> None:
        run = penstock.get_run_context().run
        assert isinstance(run, TaskRun)
        assert run.flow_run_id is not None
        cancel_flow_run(run.flow_run_id)
        time.sleep(0.5)

    @flow
    def main() -> None:
        if submitted:
            give_up.submit()
        else:
            give_up()
        time.sleep(10)

    began = time.monotonic()
    main(return_state=True)
    assert time.monotonic() - began < 5
    assert record.flow_run().state_name == "Cancelled"
    assert record.task_run().state_name in ("Cancelled", "Completed")


def test_a_flow_cancels_its_subflow_and_goes_on(record: Record) -> None:
    begun = threading.Event()
    ids: list[UUID] = []

    @flow
    def child() -> None:
        ids.append(penstock.get_run_context().run.id)
        begun.set()
        for _ in range(1000):
            time.sleep(0.01)

    @task
    def call() -> str:
        state: State[None] = child(return_state=True)
        return state.name

    @flow
    def main() -> str:
        future = call.submit()
        begun.wait(10)
        run = cancel_flow_run(ids[0], wait=True, timeout=10)
        assert run.state_name == "Cancelled"
        return future.result()

    assert main() == "Cancelled"
    assert record.flow_run("main").state_name == "Completed"
    assert record.flow_run("child").state_name == "Cancelled"


def test_a_coroutine_cancels_a_subflow_beside_it(record: Record) -> None:
    begun: dict[str, UUID] = {}

    @flow
    async def child() -> None:
        begun["child"] = penstock.get_run_context().run.id
        await asyncio.sleep(10)

    @flow
    async def main() -> str:
        running = asyncio.ensure_future(child(return_state=True))
        while not begun:
            await asyncio.sleep(0.01)
        run = await acancel_flow_run(begun["child"], wait=True, timeout=10)
        state: State[None] = await running
        assert run.state_name == state.name
        return state.name

    began = time.monotonic()
    assert asyncio.run(main()) == "Cancelled"
    assert time.monotonic() - began < 5


def test_a_coroutine_cancels_its_own_flow_run(record: Record) -> None:
    @flow
    async def main() -> None:
        await acancel_flow_run(penstock.get_run_context().run.id, wait=True)

    began = time.monotonic()
    state: Any = asyncio.run(main(return_state=True))
    assert time.monotonic() - began < 5
    assert state.name == "Cancelled"


def test_a_task_run_that_has_just_begun_is_found(record: Record) -> None:
    begun = threading.Event()
    ids: list[UUID] = []

    @task
    def work() -> None:
        ids.append(penstock.get_run_context().run.id)
        begun.set()
        for _ in range(1000):
            time.sleep(0.01)

    @flow
    def main() -> str:
        future = work.submit()
        begun.wait(10)
        run = cancel_task_run(ids[0], wait=True, timeout=10)
        assert run.state_name == "Cancelled"
        future.wait()
        return str(future.state.name)

    with temporary_settings({PENSTOCK_JOURNAL_INTERVAL_SECONDS: 5}):
        assert main() == "Cancelled"


def test_the_connection_of_this_process_stays_open() -> None:
    @flow
    def main() -> str:
        with pytest.raises(ObjectNotFound):
            cancel_flow_run(uuid4())
        return work()

    @task
    def work() -> str:
        return "done"

    assert main() == "done"


def test_a_record_that_is_asked_twice_is_opened_once_and_closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    close = SqliteStore.close
    made = kept("Scheduled")
    monkeypatch.setattr(SqliteStore, "close", lambda store: (closed.append(store), close(store)))
    cancel_flow_run(made.id)
    with pytest.raises(TransitionRefused):
        cancel_flow_run(made.id)
    assert closed == []
    assert connect._ledgers == {}
    (opened,) = connect._asked.values()
    connect.disconnect()
    assert closed == [opened]


# --- awaiting --------------------------------------------------------------------------------------------------------


def test_others_go_on_while_an_end_is_awaited() -> None:
    made = kept("Running", holder=identity.me())
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def main() -> None:
        ticking = asyncio.ensure_future(tick())
        with pytest.raises(TimeoutError):
            await acancel_flow_run(made.id, wait=True, timeout=0.5)
        ticking.cancel()

    asyncio.run(main())
    assert ticks > 10


def test_who_gives_up_awaiting_leaves_no_thread_that_waits() -> None:
    made = kept("Running", holder=identity.me())

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(acancel_flow_run(made.id, wait=True), 0.2)

    began = time.monotonic()
    asyncio.run(main())  # its end waits for all threads
    assert time.monotonic() - began < 5


def test_the_callers_context_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    mine: ContextVar[str] = ContextVar("mine", default="nothing")
    monkeypatch.setattr(connect, "asker", lambda way: mine.get())

    async def main() -> FlowRun:
        mine.set("of the caller")
        return await acancel_flow_run(kept("Scheduled").id)

    run = asyncio.run(main())
    assert run.state.details is not None
    assert run.state.details["who"] == "of the caller"


# --- doors -----------------------------------------------------------------------------------------------------------


def test_the_doors_have_them() -> None:
    import penstock.flow_runs as door

    for name in ("cancel_flow_run", "acancel_flow_run", "cancel_task_run", "acancel_task_run"):
        assert getattr(penstock, name) is getattr(door, name) is getattr(cancelling, name)
        assert name in dir(door)
        assert name in penstock.__all__
    with pytest.raises(AttributeError, match=r"^module 'penstock\.flow_runs' has no attribute 'nothing'$"):
        _ = door.nothing


def test_importing_the_door_loads_nothing(programs: Programs) -> None:
    done = programs.run("""
        import sys
        import penstock.flow_runs
        print(*sorted({"apsw", "msgspec", "asyncio"} & set(sys.modules)))
        from penstock.flow_runs import cancel_flow_run
        print("asyncio" in sys.modules)
    """)
    assert (done.code, done.stdout) == (0, "\nFalse\n"), done.stderr
