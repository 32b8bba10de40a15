"""`concurrency()`, `rate_limit()` and limits on tags: in runs and outside, in several processes, whatever ends them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from penstock import connect, flow, get_run_context, task
from penstock.concurrency import arate_limit, concurrency, rate_limit
from penstock.engine.clock import SYSTEM
from penstock.exceptions import (
    AcquireConcurrencySlotTimeoutError,
    CancelledRun,
    ConcurrencyError,
    ConcurrencySlotAcquisitionError,
    FlowRunTimeoutError,
    ServerUnavailableError,
)
from penstock.flow_runs import cancel_task_run
from penstock.ledger.slots import Place, Slots
from penstock.protocol import concurrency_limits as asked
from penstock.task_runners import ProcessPoolTaskRunner

from .kit import Gate, Programs, Record, names, taking_less_than, until


def limit(name: str, slots: int, **fields: object) -> None:
    connect.call(asked.CREATE_LIMIT, asked.CreateLimit(name=name, limit=slots, **fields))  # type: ignore[arg-type]


def read(name: str) -> asked.LimitRead:
    return connect.call(asked.READ_LIMIT, asked.ByIdOrName(name))


def is_free(name: str) -> bool:
    found = read(name)
    return not found.holding and not found.waiting


class Meter:
    """How many are inside at once, and how many were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = self.most = self.entered = 0

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            self.entered += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inside -= 1


# --- around a piece of code ------------------------------------------------------------------------------------------


def test_no_more_are_inside_than_there_are_slots() -> None:
    limit("db", 2)
    meter = Meter()

    @task
    def query() -> None:
        with concurrency("db"), meter:
            time.sleep(0.02)

    @flow
    def queries() -> None:
        for each in [query.submit() for _ in range(8)]:
            each.result()

    queries()
    assert (meter.most, meter.entered) == (2, 8)
    until(lambda: is_free("db"))


def test_coroutines_wait_without_keeping_their_loop() -> None:
    limit("db", 1)
    meter, ticks = Meter(), 0

    async def query() -> None:
        async with concurrency("db"):
            with meter:
                await asyncio.sleep(0.02)

    @flow
    async def queries() -> None:
        nonlocal ticks
        waiting = asyncio.gather(*(query() for _ in range(5)))
        while not waiting.done():
            await asyncio.sleep(0.001)
            ticks += 1
        await waiting

    asyncio.run(queries())
    assert (meter.most, meter.entered) == (1, 5)
    assert ticks > 20


def test_it_works_outside_of_runs_and_in_worker_processes() -> None:
    limit("db", 1)
    with concurrency("db"):
        assert len(read("db").holding) == 1

    @task
    def query() -> int:
        with concurrency("db"):
            return len(connect.call(asked.READ_LIMIT, asked.ByIdOrName("db")).holding)

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
    def queries() -> list[int]:
        return [each.result() for each in [query.submit() for _ in range(3)]]

    assert queries() == [1, 1, 1]
    until(lambda: is_free("db"))


def test_the_slot_says_whose_it_is(record: Record) -> None:
    limit("db", 1)
    seen: list[asked.LimitRead] = []

    @flow
    def query() -> None:
        with concurrency("db"):
            seen.append(read("db"))

    query()
    (held,) = seen[0].holding
    assert held.run_id == record.flow_run().id
    assert held.holder is not None
    assert held.holder.endswith(f":{os.getpid()}")


def test_why_a_run_waits_is_in_its_log_and_it_goes_on_at_once_when_it_may(record: Record, gate: Gate) -> None:
    limit("db", 1)
    freed: list[float] = []
    got: list[float] = []

    @task
    def first() -> None:
        with concurrency("db"):
            gate.wait()
            freed.append(time.monotonic())

    @task
    def second() -> None:
        with concurrency("db"):
            got.append(time.monotonic())

    @flow
    def both() -> None:
        holding = first.submit()
        assert gate.arrived.wait(20)
        waiting = second.submit()
        until(lambda: read("db").waiting)
        gate.open()
        holding.wait()
        waiting.wait()

    both()
    assert got[0] - freed[0] < 0.5  # promised is 0.1, on a quiet machine
    run = record.task_run("second")
    assert names(run) == ["Pending", "Running", "Completed"]
    said = [line.message for line in record.lines(record.flow_run()) if line.task_run_id == run.id]
    assert "Waiting for 1 of 1 slot of limit 'db' (place 1 in the queue)" in said
    assert any(message.startswith("Has 1 slot of 'db' after ") for message in said)


def test_a_stop_ends_the_wait_and_the_place_in_the_queue(record: Record) -> None:
    limit("db", 1)

    @flow(timeout_seconds=0.3)
    def waits_for_itself() -> None:
        with concurrency("db"), concurrency("db"):
            raise AssertionError("there is one slot")

    with taking_less_than(10), pytest.raises(FlowRunTimeoutError):
        waits_for_itself()
    until(lambda: is_free("db"))


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_patience_is_limited_by_time_and_by_retries(colour: str) -> None:
    limit("db", 1)

    def enter(**fields: object) -> None:
        if colour == "sync":
            with concurrency("db", **fields):  # type: ignore[arg-type]
                return

        async def wait() -> None:
            async with concurrency("db", **fields):  # type: ignore[arg-type]
                return

        asyncio.run(wait())

    with concurrency("db"):
        with pytest.raises(AcquireConcurrencySlotTimeoutError, match=r"timeout_seconds=0\.05 is over"):
            enter(timeout_seconds=0.05)
        with pytest.raises(TimeoutError):
            enter(timeout_seconds=0)
        with pytest.raises(ConcurrencySlotAcquisitionError, match="max_retries=0 is used up"):
            enter(max_retries=0)
        until(lambda: not read("db").waiting)
        assert len(read("db").holding) == 1
    enter(timeout_seconds=10)


def test_a_block_that_raises_gives_its_slots_back() -> None:
    limit("a", 1)
    limit("b", 1)
    with pytest.raises(KeyError), concurrency(["a", "b"]):
        raise KeyError
    until(lambda: is_free("a") and is_free("b"))


def test_what_cannot_be_is_told_before_anything_is_claimed() -> None:
    limit("db", 1)
    with pytest.raises(ConcurrencyError, match="occupy is a whole number"):
        concurrency("db", occupy=0)
    with pytest.raises(ConcurrencyError, match="named by"):
        concurrency(["db", 5])  # type: ignore[list-item]
    with pytest.raises(ConcurrencyError, match="can never be had"), concurrency("db", occupy=2):
        pass
    missing = pytest.raises(ConcurrencySlotAcquisitionError, match="There is no concurrency limit 'nothing'")
    with missing, concurrency("nothing", strict=True):
        pass
    with concurrency("nothing"):
        pass


def test_blocks_that_want_the_same_limits_in_any_order_all_come_to_their_end() -> None:
    limit("a", 1)
    limit("b", 1)
    meter = Meter()

    @task
    def both(*order: str) -> None:
        for _ in range(5):
            with concurrency(order), meter:
                pass

    @flow
    def crossing() -> None:
        for each in [both.submit("a", "b"), both.submit("b", "a"), both.submit("a"), both.submit("b")]:
            each.result()

    crossing()
    assert meter.entered == 20


# --- rates -----------------------------------------------------------------------------------------------------------


def test_a_rate_is_kept_by_all_threads_together() -> None:
    limit("api", 1, slot_decay_per_second=50.0)
    began = time.monotonic()
    threads = [threading.Thread(target=lambda: [rate_limit("api") for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 19 / 50  # 20 of them, of which the first waits for nobody


def test_a_rate_that_means_to_wait_too_long_is_told_at_once_and_costs_nothing() -> None:
    limit("api", 1, slot_decay_per_second=0.01)
    rate_limit("api")
    with taking_less_than(5), pytest.raises(AcquireConcurrencySlotTimeoutError, match="would come free in"):
        rate_limit("api", timeout_seconds=20)
    assert read("api").active_slots <= 1


def test_a_rate_can_be_awaited_and_who_gives_up_gives_back() -> None:
    limit("api", 1, slot_decay_per_second=0.001)

    async def give_up() -> None:
        await arate_limit("api")
        waiting = asyncio.ensure_future(arate_limit("api"))
        await asyncio.to_thread(until, lambda: read("api").active_slots > 1.5)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(give_up())
    until(lambda: read("api").active_slots <= 1)


# --- limits on tags --------------------------------------------------------------------------------------------------


class Network:
    """The way to the record, in a state that the test decides."""

    def __init__(self) -> None:
        self.away = self.loses_answers = False

    def ask(self, operation: Any, argument: Any, key: str | None = None) -> Any:
        if self.away:
            raise ServerUnavailableError("The server does not answer.")
        answer = connect.call(operation, argument, key=key)
        if self.loses_answers:
            raise ServerUnavailableError("The connection broke before the answer came.")
        return answer


def answered(place: Place) -> Place:
    happened = threading.Event()
    place.answered.add_done_callback(lambda _: happened.set())
    assert happened.wait(10)
    return place


def test_a_claim_whose_answer_never_came_holds_no_slot_when_it_is_given_up() -> None:
    limit("database", 1)
    network = Network()
    slots = Slots(network.ask, SYSTEM.new_id, patience=0.1)
    network.loses_answers = True
    place = answered(slots.claim(["database"], 1, holder=connect.runtime().holder))
    assert isinstance(place.error, ServerUnavailableError)
    assert read("database").holding
    network.loses_answers = False
    slots.give_back(place)
    until(lambda: is_free("database"))
    slots.close()


def test_what_is_owed_to_a_record_that_is_away_keeps_no_claim_from_giving_up() -> None:
    limit("database", 1)
    network = Network()
    slots = Slots(network.ask, SYSTEM.new_id, patience=0.1)
    held = answered(slots.claim(["database"], 1, holder=connect.runtime().holder))
    network.away = True
    slots.give_back(held)
    other = answered(slots.claim(["database"], 1, holder=connect.runtime().holder))
    assert isinstance(other.error, ServerUnavailableError)
    slots.give_back(other)
    network.away = False
    until(lambda: is_free("database"))
    slots.close()


def test_task_runs_with_a_limited_tag_wait_in_a_state_that_says_for_what(record: Record) -> None:
    limit("tag:db", 1)
    meter = Meter()

    @task(tags=["db", "other"])
    def query() -> None:
        with meter:
            time.sleep(0.05)

    @flow
    def queries() -> None:
        for each in [query.submit() for _ in range(3)]:
            each.result()

    queries()
    assert (meter.most, meter.entered) == (1, 3)
    waited = [run for run in record.task_runs() if "AwaitingConcurrencySlot" in names(run)]
    assert len(waited) == 2
    for run in waited:
        assert names(run) == ["Pending", "AwaitingConcurrencySlot", "Running", "Completed"]
        state = run.states[1]
        assert state.is_scheduled()
        assert state.message is not None
        assert state.message.startswith("Waiting for 1 of 1 slot of limit 'db' (place ")
        assert state.details is not None
        assert state.details["limit"] == "tag:db"
    until(lambda: is_free("tag:db"))


def test_asynchronous_tasks_wait_for_their_slots_beside_each_other(record: Record) -> None:
    limit("tag:db", 2)
    meter = Meter()

    @task(tags=["db"])
    async def query() -> None:
        with meter:
            await asyncio.sleep(0.02)

    @flow
    async def queries() -> None:
        await asyncio.gather(*(query() for _ in range(20)))

    asyncio.run(queries())
    assert (meter.most, meter.entered) == (2, 20)


def test_each_attempt_takes_its_slot_anew_and_none_is_held_between(record: Record) -> None:
    limit("tag:db", 1)
    held: list[int] = []

    @task(tags=["db"], retries=2)
    def query() -> None:
        held.append(len(read("tag:db").holding))
        if get_run_context().run.run_count < 3:
            raise ValueError

    @flow
    def once() -> None:
        query()

    once()
    assert held == [1, 1, 1]
    until(lambda: is_free("tag:db"))


def test_a_task_that_waits_for_its_slot_can_be_cancelled(record: Record, gate: Gate) -> None:
    limit("tag:db", 1)

    @task(tags=["db"])
    def holds() -> None:
        gate.wait()

    @task(tags=["db"])
    def waits() -> None:
        raise AssertionError("it was cancelled")

    @flow
    def both() -> None:
        first = holds.submit()
        assert gate.arrived.wait(20)
        second = waits.submit()
        until(lambda: read("tag:db").waiting)
        cancel_task_run(second.task_run_id)
        with pytest.raises(CancelledRun):
            second.result()
        until(lambda: not read("tag:db").waiting)
        gate.open()
        first.result()

    both()
    assert names(record.task_run("waits"))[-1] == "Cancelled"


def test_time_spent_waiting_for_a_slot_is_not_the_tasks_own(gate: Gate) -> None:
    limit("tag:db", 1)

    @task(tags=["db"])
    def holds() -> None:
        gate.wait()

    @task(tags=["db"], timeout_seconds=0.3)
    def quick() -> int:
        return 1

    @flow
    def both() -> int:
        first = holds.submit()
        assert gate.arrived.wait(20)
        second = quick.submit()
        until(lambda: read("tag:db").waiting)
        time.sleep(0.4)
        gate.open()
        first.result()
        return second.result()

    assert both() == 1


def test_a_task_whose_tags_have_no_limits_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    limit("tag:db", 1)
    asks: list[str] = []
    call = connect.call

    def counting(operation: asked.Operation, argument: object, **more: object) -> object:  # type: ignore[name-defined,type-arg]
        asks.append(operation.name)
        return call(operation, argument, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(connect, "call", counting)

    @task(tags=["light"])
    def tagged() -> None: ...

    @task
    def plain() -> None: ...

    @flow
    def many() -> None:
        for _ in range(50):
            tagged()
            plain()

    many()
    assert asks in (["read_limited_tags"], ["read_limited_tags"] * 2)  # known for two seconds


# --- several processes -----------------------------------------------------------------------------------------------

HOLDS = """
    import sys, time
    from penstock import flow
    from penstock.concurrency import concurrency

    @flow
    def hold():
        with concurrency("db"):
            print("holding", flush=True)
            time.sleep(60)

    hold()
"""


@pytest.mark.slow
def test_a_killed_process_gives_its_slot_to_who_waits(programs: Programs) -> None:
    limit("db", 1)
    holder = programs.start(HOLDS, PENSTOCK_STOP_WATCHDOG="false")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    entered = threading.Event()

    def enter() -> None:
        with concurrency("db"):
            entered.set()

    waiting = threading.Thread(target=enter)
    waiting.start()
    until(lambda: read("db").waiting)
    assert not entered.is_set()
    os.killpg(holder.pid, signal.SIGKILL)
    holder.wait()
    assert entered.wait(5)
    waiting.join()
    until(lambda: is_free("db"))


@pytest.mark.slow
def test_a_killed_waiter_is_overtaken(programs: Programs) -> None:
    limit("db", 1)
    entered = threading.Event()
    with concurrency("db"):
        waiter = programs.start(HOLDS, PENSTOCK_STOP_WATCHDOG="false")
        until(lambda: read("db").waiting)

        def enter() -> None:
            with concurrency("db"):
                entered.set()

        waiting = threading.Thread(target=enter)
        waiting.start()
        until(lambda: len(read("db").waiting) == 2)
        os.killpg(waiter.pid, signal.SIGKILL)
        waiter.wait()
        time.sleep(0.05)
    assert entered.wait(5)
    waiting.join()


@pytest.mark.slow
def test_processes_that_race_for_one_slot_are_never_two_inside(programs: Programs, tmp_path: Path) -> None:
    """Each says in one file, which they share, that it goes in and out; the file's order is the truth."""
    limit("db", 1)
    log = tmp_path / "log"
    program = """
        import os, sys
        from penstock.concurrency import concurrency

        file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for _ in range(25):
            with concurrency("db"):
                os.write(file, b"in\\n")
                os.write(file, b"out\\n")
    """
    racing = [programs.start(program, log) for _ in range(3)]
    for each in racing:
        ended = programs.finish(each)
        assert ended.code == 0, ended.stderr
    assert log.read_text().split() == ["in", "out"] * 75
    until(lambda: is_free("db"))


@pytest.mark.slow
def test_processes_that_share_a_rate_keep_it_together(programs: Programs) -> None:
    limit("api", 1, slot_decay_per_second=20.0)
    program = """
        import time
        from penstock.concurrency import rate_limit

        for _ in range(10):
            rate_limit("api")
            print(time.time())
    """
    running = [programs.start(program) for _ in range(2)]
    moments = sorted(float(text) for each in running for text in programs.finish(each).stdout.split())
    assert len(moments) == 20
    # Whichever of them went first: none of any n went before n - 1 slots had come free.
    for n in range(2, 20):
        assert moments[n] - moments[0] >= (n - 1) / 20.0 - 0.05
