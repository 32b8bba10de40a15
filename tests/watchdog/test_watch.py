"""What is due when: the watchdog's logic, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from penstock.watchdog.table import NEVER, Entry, Table, View
from penstock.watchdog.watch import LOAD_SECONDS, LOOK_SECONDS, READY_SECONDS, REST_SECONDS, RETRY_SECONDS, Watch


class Bench:
    """A table, a watch on it, and deeds that only note what was done."""

    def __init__(self) -> None:
        self.time = 100.0
        self.table = Table()
        self.done: list[tuple[Any, ...]] = []
        self.loads = 0
        self.trouble = 0  # how many deeds still fail
        nudge = lambda: self.done.append(("nudge",))  # noqa: E731
        self.watch = Watch(View(self.table.fd), self._load, lambda: self.time, nudge=nudge)

    def _load(self) -> Bench:
        self.loads += 1
        return self

    def add(self, name: str, record_in: float = NEVER, kill_in: float = NEVER, due_in: float = NEVER) -> int:
        now = self.time
        slot = self.table.add(name.encode().ljust(16), True, 0, now + record_in, now + kill_in, now + due_in, b"")
        assert slot is not None
        return slot

    def step(self, seconds: float = 0.0) -> float:
        self.time += seconds
        return self.watch.step()

    def _note(self, what: str, entry: Entry) -> None:
        if self.trouble:
            self.trouble -= 1
            raise OSError("the record is locked")
        self.done.append((what, entry.run_id.strip().decode()))

    # --- the deeds ---

    def record(self, entry: Entry) -> None:
        self._note("record", entry)

    def end(self, entry: Entry, entries: list[Entry]) -> None:
        self._note("end", entry)

    def look(self) -> None:
        self.done.append(("look",))

    def part(self, entries: list[Entry]) -> None:
        if self.trouble:
            self.trouble -= 1
            raise OSError("the record is locked")
        self.done.append(("part", len(entries)))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.table.close()


def test_without_anything_to_do_it_rests_and_loads_nothing(bench: Bench) -> None:
    assert bench.step() == REST_SECONDS
    assert bench.table.wake_at == 100 + REST_SECONDS + LOAD_SECONDS
    bench.step(1000)
    assert (bench.loads, bench.done) == (0, [])


def test_a_record_is_closed_when_its_time_has_come_and_once(bench: Bench) -> None:
    bench.add("a", record_in=LOAD_SECONDS + LOOK_SECONDS)
    assert bench.step() == pytest.approx(LOOK_SECONDS)
    assert bench.loads == 0
    assert bench.step(LOOK_SECONDS + 0.01) == 0
    assert bench.loads == 1
    bench.step()
    assert bench.step(LOAD_SECONDS - 0.02) == pytest.approx(0.01)
    assert bench.done == []
    assert bench.step(0.02) == pytest.approx(LOOK_SECONDS)
    bench.step(5)
    assert bench.done == [("record", "a")]


def test_code_that_lets_nobody_tell_it_of_its_limit_is_told_by_a_signal(bench: Bench) -> None:
    slot = bench.add("a", record_in=0.18, due_in=0.1)
    handled = bench.add("b", record_in=0.18, due_in=0.1)
    bench.step()
    bench.step(0.11)
    assert bench.done == []
    bench.table.recorded(handled)
    bench.step(0.02)
    bench.step()
    assert bench.done == [("nudge",)]
    bench.table.free(slot)
    bench.step(1)
    assert bench.done == [("nudge",)]


def test_what_is_due_soon_after_it_wakes_is_to_be_told_before(bench: Bench) -> None:
    bench.table.set_roots(1)
    bench.step()
    assert bench.table.wake_at == 100 + LOOK_SECONDS + LOAD_SECONDS  # for then there is something to load first
    bench.add("a", record_in=0.1)
    bench.step()
    bench.step(0.2)
    bench.step()
    assert bench.loads == 1
    assert bench.table.wake_at == 100.2 + LOOK_SECONDS


def test_the_end_comes_after_the_record(bench: Bench) -> None:
    bench.add("a", record_in=0.5, kill_in=0.7)
    bench.step(0.6)
    assert bench.done == [("record", "a")]
    bench.step(0.2)
    assert bench.done == [("record", "a"), ("end", "a")]


def test_what_the_program_has_recorded_itself_is_only_ended(bench: Bench) -> None:
    slot = bench.add("a", record_in=0.5, kill_in=0.7)
    bench.table.recorded(slot)
    bench.step(0.6)
    assert bench.done == []
    bench.step(0.6)
    assert bench.done == [("end", "a")]


def test_what_was_released_is_left_alone(bench: Bench) -> None:
    bench.table.free(bench.add("a", record_in=0.5, kill_in=0.7))
    bench.step(1)
    assert bench.done == []


def test_an_entry_that_changes_while_others_are_served_is_read_again(bench: Bench) -> None:
    first, second = bench.add("a", record_in=0.1), bench.add("b", record_in=0.1)

    class Meddling(Bench):
        def record(self, entry: Entry) -> None:
            bench.table.free(second)
            bench.add("c", record_in=0.5)  # takes the same slot
            super().record(entry)

    meddling = Meddling.__new__(Meddling)
    meddling.__dict__ = bench.__dict__
    bench.watch._load = lambda: meddling
    bench.step(0.2)
    assert bench.done == [("record", "a")]
    assert first != second


def test_a_deed_that_fails_is_tried_again_and_keeps_nothing_else_from_being_done(bench: Bench) -> None:
    bench.add("a", record_in=0.1)
    bench.add("b", record_in=0.1)
    bench.trouble = 1
    assert bench.step(0.2) == pytest.approx(RETRY_SECONDS)
    assert bench.done == [("record", "b")]
    bench.trouble = 1
    assert bench.step(RETRY_SECONDS) == pytest.approx(2 * RETRY_SECONDS)
    bench.step(2 * RETRY_SECONDS)
    assert bench.done == [("record", "b"), ("record", "a")]


def test_while_runs_are_under_way_it_looks_again_and_again_once_it_is_ready(bench: Bench) -> None:
    bench.table.set_roots(1)
    assert bench.step() == pytest.approx(LOOK_SECONDS)
    assert bench.done == []
    bench.step(READY_SECONDS)
    bench.step(LOOK_SECONDS / 2)
    assert bench.done == [("look",)]
    bench.step(LOOK_SECONDS)
    assert bench.done == [("look",)] * 2
    bench.table.set_roots(0)
    bench.step(LOOK_SECONDS)
    assert bench.done == [("look",)] * 2


def test_the_program_is_gone_and_had_nothing_under_way(bench: Bench) -> None:
    bench.watch.part()
    assert (bench.loads, bench.done) == (0, [])


def test_the_program_is_gone_and_had_runs_under_way(bench: Bench) -> None:
    bench.table.set_roots(1)
    bench.add("a", record_in=50)
    bench.trouble = 1
    bench.watch.part()
    assert bench.done == [("part", 1)]


def test_before_it_looks_it_wants_to_be_told_of_everything(bench: Bench) -> None:
    """Else what comes in just after it has looked would have to wait until it looks again."""
    announced = []

    class Noting(View):
        def announce(self, wake_at: float) -> None:
            announced.append(wake_at)

        def entries(self) -> list[Entry]:
            announced.append("reads")  # type: ignore[arg-type]
            return super().entries()

    watch = Watch(Noting(bench.table.fd), bench._load, lambda: bench.time)
    watch.step()
    assert announced == [NEVER, "reads", 100 + REST_SECONDS + LOAD_SECONDS]
