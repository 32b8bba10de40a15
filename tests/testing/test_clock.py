"""Nothing is waited for: the clock goes on when all code of runs waits for it, and only then."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import sleep as slept
from typing import Any

import pytest

from penstock import flow, pause_flow_run, task
from penstock.exceptions import FlowPauseTimeout
from penstock.flow_runs import sleep_until
from penstock.testing import FakeClock, TestHarness, clock, quiet, test_harness

HOUR = 3600
BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def fake_clock() -> FakeClock:
    return FakeClock(BEGIN)


Harness = TestHarness[FakeClock]


def test_delays_before_retries_pass_at_once_and_are_in_the_record(penstock_harness: Harness) -> None:
    attempts = []

    @task(retries=2, retry_delay_seconds=[HOUR, 2 * HOUR])
    def flaky() -> int:
        attempts.append(penstock_harness.clock.now())
        if len(attempts) < 3:
            raise ConnectionError("away")
        return len(attempts)

    assert flaky() == 3
    assert attempts == [BEGIN, BEGIN + timedelta(hours=1), BEGIN + timedelta(hours=3)]
    (run,) = penstock_harness.task_runs()
    assert [state.name for state in penstock_harness.states(run)] == [
        "Pending",
        "Running",
        "AwaitingRetry",
        "Retrying",
        "AwaitingRetry",
        "Retrying",
        "Completed",
    ]
    assert run.end_time == BEGIN + timedelta(hours=3)


def test_delays_of_flows_pass_at_once_too(penstock_harness: Harness) -> None:
    calls = []

    @flow(retries=1, retry_delay_seconds=HOUR)
    def flaky() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError("away")

    flaky()

    assert penstock_harness.clock.elapsed == HOUR


def test_code_that_sleeps_past_its_limit_times_out_at_its_deadline(penstock_harness: Harness) -> None:
    @task(timeout_seconds=60)
    def plain() -> None:
        time.sleep(HOUR)

    @task(timeout_seconds=60)
    def imported() -> None:
        slept(HOUR)

    @task(timeout_seconds=60)
    async def awaited() -> None:
        await asyncio.sleep(HOUR)

    @flow
    def three() -> list[str]:
        return [
            plain(return_state=True).name,
            imported.submit(return_state=True).name,
            awaited.submit(return_state=True).name,
        ]

    assert three() == ["TimedOut"] * 3
    assert penstock_harness.clock.elapsed == 180
    assert [run.end_time for run in reversed(penstock_harness.task_runs())] == [
        BEGIN + timedelta(minutes=minutes) for minutes in (1, 2, 3)
    ]


def test_code_that_is_within_its_limit_is_not_hurried(penstock_harness: Harness) -> None:
    """It computes for longer, really, than the clock would need to look."""

    @task(timeout_seconds=60)
    def computes() -> int:
        until = time.perf_counter() + 0.3
        while time.perf_counter() < until:
            pass
        return 1

    @task
    def sleeps() -> None:
        time.sleep(HOUR)

    @flow
    def both() -> int:
        asleep = sleeps.submit()
        value = computes.submit().result()
        asleep.wait()
        return value

    assert both() == 1
    assert penstock_harness.clock.elapsed == HOUR


def test_those_who_sleep_together_wake_in_their_order(penstock_harness: Harness) -> None:
    woken: list[int] = []

    @task
    def sleeps(seconds: int) -> None:
        time.sleep(seconds)
        woken.append(seconds)

    @task
    async def awaits(seconds: int) -> None:
        await asyncio.sleep(seconds)
        woken.append(seconds)

    @flow
    def many() -> None:
        futures = [*sleeps.map([50, 10, 30]), *awaits.map([40, 20])]
        for future in futures:
            future.wait()

    many()

    assert woken == [10, 20, 30, 40, 50]
    assert penstock_harness.clock.elapsed == 50


async def _gathered(harness: Harness) -> None:
    @task
    async def sleeps(seconds: int) -> int:
        await asyncio.sleep(seconds)
        return seconds

    @flow
    async def together() -> list[int]:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(10 * HOUR), HOUR)
        return list(await asyncio.gather(*map(sleeps, [5, 3, 4])))

    assert await together() == [5, 3, 4]
    assert harness.clock.elapsed == pytest.approx(HOUR + 5)


def test_asyncio_goes_by_it_as_well(penstock_harness: Harness) -> None:
    asyncio.run(_gathered(penstock_harness))


@pytest.mark.parametrize("up", [27_011.382917465, 1_843_201.120389817, 98_304_000.000000123])
def test_an_hour_of_asyncio_is_an_hour_however_long_the_machine_has_been_up(
    up: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    @flow
    async def sleeps() -> None:
        await asyncio.sleep(3600)

    fake = FakeClock()
    monkeypatch.setattr(fake, "_began", up)
    with test_harness(clock=fake):
        asyncio.run(sleeps())  # type: ignore[arg-type]
    assert fake.elapsed == 3600


def test_a_pause_of_three_days_is_over_at_once(penstock_harness: Harness) -> None:
    @flow
    def release() -> str:
        return str(pause_flow_run(wait_for_input=str, timeout=timedelta(days=7).total_seconds()))

    penstock_harness.resume(release, "yes", after=timedelta(days=3))

    assert release() == "yes"
    assert penstock_harness.clock.elapsed == 3 * 24 * HOUR
    assert penstock_harness.clock.now() == BEGIN + timedelta(days=3)


def test_a_pause_that_nobody_answers_ends_at_its_deadline(penstock_harness: Harness) -> None:
    @flow
    def release() -> None:
        pause_flow_run(timeout=HOUR)

    with pytest.raises(FlowPauseTimeout):
        release()

    assert penstock_harness.clock.elapsed == HOUR


def test_a_flow_waits_for_a_moment(penstock_harness: Harness) -> None:
    @flow
    def at_six() -> datetime:
        sleep_until(BEGIN + timedelta(hours=18))
        return penstock_harness.clock.now()

    assert at_six() == BEGIN + timedelta(hours=18)


def test_a_limit_stands_still_while_the_run_is_paused(penstock_harness: Harness) -> None:
    @flow(timeout_seconds=60)
    def release() -> str:
        time.sleep(50)
        pause_flow_run(timeout=10 * HOUR)
        time.sleep(50)
        return "never"

    penstock_harness.resume(release, after=HOUR)

    assert release(return_state=True).name == "TimedOut"
    assert penstock_harness.clock.elapsed == HOUR + 60


def test_code_outside_of_runs_sleeps_really(penstock_harness: Harness) -> None:
    before = time.perf_counter()

    time.sleep(0.05)

    assert time.perf_counter() - before >= 0.05
    assert penstock_harness.clock.elapsed == 0


def test_a_clock_that_goes_by_hand() -> None:
    done = threading.Event()

    @flow
    def sleeps() -> None:
        time.sleep(HOUR)
        done.set()

    with test_harness(FakeClock(auto=False)) as harness:
        thread = threading.Thread(target=sleeps)
        thread.start()
        harness.clock.advance(HOUR - 1)
        assert not done.is_set()
        harness.clock.advance(timedelta(seconds=1))
        assert done.is_set()
        thread.join(10)
        assert not thread.is_alive()


def test_threads_that_wait_for_each_other_do_not_stop_the_clock(penstock_harness: Harness) -> None:
    """One waits, by other means, for what another does after it has slept."""
    slept_enough = threading.Event()

    @task
    def sleeps() -> None:
        time.sleep(HOUR)
        slept_enough.set()

    @flow
    def waits() -> bool:
        sleeps.submit()
        return slept_enough.wait(30)

    assert waits()
    assert penstock_harness.clock.elapsed == HOUR


@pytest.mark.parametrize("by", [-1, float("inf"), float("nan")])
def test_time_goes_forward(by: float) -> None:
    with pytest.raises(ValueError, match="forward"):
        FakeClock().advance(by)


def test_ids_are_of_its_time() -> None:
    clock = FakeClock(datetime(2020, 1, 1))  # without a zone: UTC

    assert clock.now() == datetime(2020, 1, 1, tzinfo=UTC)
    milliseconds = clock.new_id().int >> 80
    assert datetime.fromtimestamp(milliseconds / 1000, UTC) == clock.now()


def test_what_waits_when_the_test_is_over_is_woken() -> None:
    ended = threading.Event()

    @flow
    def sleeps() -> None:
        try:
            time.sleep(HOUR)
        finally:
            ended.set()

    with test_harness(FakeClock(auto=False)) as harness:
        thread = threading.Thread(target=lambda: sleeps(return_state=True))
        thread.start()
        harness.clock.advance(1)
    thread.join(10)
    assert ended.is_set()


# --- the world --------------------------------------------------------------------------------------------------------


def test_programs_and_sockets_are_not_hurried(penstock_harness: Harness) -> None:
    @task(timeout_seconds=60)
    def runs_a_program() -> str:
        return subprocess.run(["sh", "-c", "sleep 0.3; echo hi"], capture_output=True, text=True, timeout=50).stdout

    @task(timeout_seconds=60)
    def waits_for_a_program() -> int:
        return subprocess.run(["sleep", "0.3"], timeout=50).returncode

    @task(timeout_seconds=60)
    def computes_in_a_pool() -> int:
        with ThreadPoolExecutor() as pool:
            return pool.submit(work_for, 0.3).result()

    @task(timeout_seconds=60)
    async def runs_a_program_later() -> int:
        process = await asyncio.create_subprocess_exec("sleep", "0.3")
        return await asyncio.wait_for(process.wait(), 50)

    @task(timeout_seconds=60)
    async def works_in_a_thread() -> int:
        return await asyncio.wait_for(asyncio.to_thread(work_for, 0.3), 50)

    @flow
    async def all_of_them() -> list[Any]:
        plain = [runs_a_program(), waits_for_a_program(), computes_in_a_pool()]
        return [*plain, await runs_a_program_later(), await works_in_a_thread()]

    assert asyncio.run(all_of_them()) == ["hi\n", 0, 1, 0, 1]
    assert penstock_harness.clock.elapsed < 60


def work_for(seconds: float) -> int:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass
    return 1


def test_a_limit_of_code_that_is_at_work_does_not_pass_for_impatience(
    penstock_harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet, "AT_WORK", 0.2)
    monkeypatch.setattr(clock, "AT_WORK", 0.2)

    @task(timeout_seconds=3600)
    def works() -> int:
        return work_for(0.6)

    assert works() == 1
    assert penstock_harness.clock.elapsed == 0


@pytest.mark.parametrize("seconds", [float("nan"), -1, float("inf")])
def test_a_sleep_that_cannot_be_is_refused_as_ever(penstock_harness: Harness, seconds: float) -> None:
    @flow
    def sleeps() -> None:
        time.sleep(seconds)

    with pytest.raises((ValueError, OverflowError)):
        sleeps()


def test_two_harnesses_do_not_share_a_clock(fake_clock: FakeClock, penstock_harness: Harness) -> None:
    with pytest.raises(RuntimeError, match="in use by another harness"):
        test_harness(fake_clock).__enter__()


def test_a_clock_begins_at_a_datetime() -> None:
    with pytest.raises(TypeError, match="begins at a datetime"):
        FakeClock("2026-01-01")  # type: ignore[arg-type]
