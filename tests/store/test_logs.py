"""Lines keep their order and their words, and are recorded once."""

from __future__ import annotations

from uuid import uuid4

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.domain.logs import LogLine
from penstock.engine.runlog import storable
from penstock.store import logs
from penstock.store.contract import Store

from .kit import line


def append(store: Store, *lines: LogLine) -> None:
    with store.write() as tx:
        logs.append(tx, lines)


def test_a_line_is_read_back_with_its_place_in_the_code(store: Store) -> None:
    run, task = uuid4(), uuid4()
    said = [
        line(run, 0, file="/etl.py", line=42, function="load", level=30, logger="etl"),
        line(run, 1, "from a task", task_run_id=task),
    ]
    append(store, *said)
    with store.read() as tx:
        assert logs.read(tx, run) == said


def test_the_lines_of_a_task_outside_flows_are_its_own(store: Store) -> None:
    task = uuid4()
    said = LogLine(None, task, 0, line(task, 0).timestamp, 20, "alone")
    append(store, said)
    with store.read() as tx:
        assert logs.read(tx, task) == [said]


def test_lines_are_read_in_their_order_however_they_came(store: Store) -> None:
    run = uuid4()
    append(store, *[line(run, seq) for seq in (3, 1, 2)])
    append(store, *[line(run, seq) for seq in (0, 3, 1)])
    with store.read() as tx:
        assert [each.seq for each in logs.read(tx, run)] == [0, 1, 2, 3]
        assert [each.seq for each in logs.read(tx, run, after=1, limit=1)] == [2]
        assert [each.seq for each in logs.read(tx, run, last=True, limit=2)] == [2, 3]


def test_a_line_that_another_process_adds_comes_behind_all_that_the_run_will_write(store: Store) -> None:
    run = uuid4()
    append(store, line(run, 7))
    with store.read() as tx:
        first = logs.next_late_seq(tx, run)
    append(store, msgspec.structs.replace(line(run, 9), seq=first), line(run, 8))
    with store.read() as tx:
        assert [each.seq for each in logs.read(tx, run)] == [7, 8, first]
        assert logs.next_late_seq(tx, run) == first + 1


def test_a_line_that_is_there_already_is_left_as_it_is(store: Store) -> None:
    run = uuid4()
    append(store, line(run, 0, "first"))
    append(store, line(run, 0, "second"))
    with store.read() as tx:
        assert [each.message for each in logs.read(tx, run)] == ["first"]


def test_lines_are_chosen_by_level_task_and_text(store: Store) -> None:
    run, task = uuid4(), uuid4()
    append(store, line(run, 0, "100% sure", level=10), line(run, 1, "100 sure", task_run_id=task), line(run, 2, "a_b"))
    append(store, line(run, 3, "axb", level=40))
    with store.read() as tx:
        assert [each.seq for each in logs.read(tx, run, level=20)] == [1, 2, 3]
        assert [each.seq for each in logs.read(tx, run, task_run_id=task)] == [1]
        assert [each.seq for each in logs.read(tx, run, containing="0%")] == [0]
        assert [each.seq for each in logs.read(tx, run, containing="a_b")] == [2]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(text=st.text(st.characters(categories=None)))
def test_whatever_is_said_can_be_stored_and_is_read_back(store: Store, text: str) -> None:
    run = uuid4()
    append(store, line(run, 0, storable(text)))
    with store.read() as tx:
        (found,) = logs.read(tx, run)
    assert found.message == storable(text)
    if "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text):
        assert found.message == text
