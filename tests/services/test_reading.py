"""Reading: every list is answered by an index, and a log that grows is given line by line, each line once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from penstock.domain.errors import ObjectNotFound
from penstock.domain.filters import LogFilter, RunFilter
from penstock.domain.ids import flow_id
from penstock.domain.logs import LogLine
from penstock.domain.runs import FlowRun, TaskRun
from penstock.domain.states import COMPLETED, CRASHED, FAILED, PENDING, RUNNING, SCHEDULED, StateType, make
from penstock.engine.clock import SYSTEM
from penstock.services import log_reading, reading, streaming
from penstock.store import filters, flow_runs, logs, task_runs
from penstock.store.contract import Store
from penstock.store.sqlite import SqliteStore

NOW = datetime(2026, 1, 2, tzinfo=UTC)


# --- lists -----------------------------------------------------------------------------------------------------------

RUN = uuid4()
# What is asked, and the index that must answer, in order and without sorting.
FLOW_RUN_PLANS = [
    (RunFilter(), "sqlite_autoindex_flow_run_1"),
    (RunFilter(flow_names=("a",)), "flow_run_by_flow"),
    (RunFilter(names=("a",)), "flow_run_by_name"),
    (RunFilter(names=("a", "b"), state_types=(FAILED,)), "flow_run_by_name"),
    (RunFilter(ids=(RUN, UUID(int=7)), state_types=(COMPLETED,), flow_names=("a",)), "sqlite_autoindex_flow_run_1"),
    (RunFilter(roots=True), "sqlite_autoindex_flow_run_1"),
    (RunFilter(deployment_id=RUN), "flow_run_of_deployment (deployment_id=?)"),
    (RunFilter(deployment_id=RUN, after=NOW), "flow_run_of_deployment (deployment_id=? AND id>?)"),
    (RunFilter(flow_names=("a", "b")), "flow_run_by_flow"),
    (RunFilter(state_types=(FAILED,)), "flow_run_by_state"),
    (RunFilter(state_types=(FAILED, CRASHED, RUNNING)), "flow_run_by_state"),
    (RunFilter(state_names=("TimedOut",)), "flow_run_by_state"),
    (RunFilter(state_types=(FAILED,), flow_names=("a",)), "flow_run_by_state"),
    (RunFilter(state_types=(COMPLETED,), flow_names=("a",)), "flow_run_by_flow"),
    (RunFilter(after=NOW, before=NOW), "(id>? AND id<?)"),
    (RunFilter(before=NOW), "(id<?)"),
    (RunFilter(flow_names=("a",), after=NOW, before=NOW, tags=("x",), name_contains="y"), "(flow_name=? AND id>?"),
    (RunFilter(state_types=(FAILED, CRASHED), after=NOW), "flow_run_by_state (state_type=? AND id>?)"),
]
TASK_RUN_PLANS = [
    (RunFilter(), "SCAN task_run"),  # the table is its primary key: read from its end
    (RunFilter(after=NOW, before=NOW), "(id>? AND id<?)"),
    (RunFilter(before=NOW), "(id<?)"),
    (RunFilter(state_types=(FAILED,), after=NOW), "task_run_failures (state_type=? AND id>?)"),
    (RunFilter(flow_run_id=RUN), "task_run_by_flow_run"),
    (RunFilter(flow_run_id=RUN, state_types=(COMPLETED,), task_names=("a",)), "task_run_by_flow_run"),
    (RunFilter(state_types=(RUNNING,)), "task_run_unfinished"),
    (RunFilter(state_types=(RUNNING, PENDING, SCHEDULED)), "task_run_unfinished"),
    (RunFilter(state_types=(RUNNING,), flow_run_id=RUN), "task_run_unfinished"),
]


def plan(store: SqliteStore, table: str, filter: RunFilter) -> list[str]:
    where, params = filters.runs(filter, table, 15)
    sql = f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {where} ORDER BY {filters.NEWEST_FIRST} LIMIT 15"
    with store.read() as tx:
        return [row[-1] for row in tx.rows(sql, params)]


@pytest.mark.parametrize(
    ("table", "filter", "index"),
    [("flow_run", *each) for each in FLOW_RUN_PLANS] + [("task_run", *each) for each in TASK_RUN_PLANS],
)
def test_lists_are_answered_by_an_index(sqlite_store: SqliteStore, table: str, filter: RunFilter, index: str) -> None:
    steps = plan(sqlite_store, table, filter)
    assert any(index in step for step in steps), steps
    assert not any("TEMP B-TREE" in step for step in steps), steps
    # Ids that do not tell the time are few, and have an index of their own.
    odd = f"USING INDEX {table}_odd"
    assert all(index in step or odd in step for step in steps if step.startswith(f"SCAN {table}")), steps


@pytest.mark.parametrize("table", ["flow_run", "task_run"])
def test_ids_are_found_by_their_beginning_in_the_primary_key_and_by_their_end_in_an_index(
    sqlite_store: SqliteStore, table: str
) -> None:
    for (where, params), wanted in (
        (filters.prefixed("0197a"), "SEARCH"),
        (filters.suffixed("abcde", table), "COVERING"),
    ):
        with sqlite_store.read() as tx:
            sql = f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {where} ORDER BY id DESC LIMIT 6"
            steps = [row[-1] for row in tx.rows(sql, params)]
        assert any(wanted in step for step in steps), steps
        assert all("COVERING" in step for step in steps if step.startswith("SCAN")), steps


def test_lists_agree_with_a_look_at_every_run(store: Store) -> None:
    """Whatever way the condition is written for the index's sake: it finds what the filter's words say."""
    chance = random.Random(7)
    names = ("Completed", "Cached", "Failed", "TimedOut", "Running", "Pending", "Crashed")
    made = []
    for _ in range(300):
        moment = NOW + timedelta(minutes=chance.randrange(1000))
        state = make(chance.choice(names), moment)
        flow = chance.choice("abc")
        tags = tuple(chance.sample(("x", "y", "x_y", 'q"'), chance.randrange(3)))
        told = UUID(int=(int(moment.timestamp() * 1000) << 80) | chance.getrandbits(80))
        made.append(
            FlowRun(id=chance.choice((told, SYSTEM.new_id())), name=f"run-{chance.randrange(40)}", created=moment,
                    states=(state,), version=1, flow_id=flow_id(flow), flow_name=flow, tags=tags,
                    flow_run_id=made[0].id if made and chance.random() < 0.3 else None,
                    deployment_id=chance.choice((None, RUN)))
        )  # fmt: skip
    with store.write() as tx:
        for run in made:
            flow_runs.put(tx, run)
    for _ in range(300):
        filter = RunFilter(
            flow_names=tuple(chance.sample("abcd", chance.choice((0, 0, 1, 2)))),
            state_names=tuple(chance.sample(names, chance.choice((0, 0, 1, 3)))),
            state_types=tuple(chance.sample((COMPLETED, FAILED, RUNNING, PENDING), chance.choice((0, 0, 1, 2)))),
            tags=tuple(chance.sample(("x", "y", 'q"'), chance.choice((0, 0, 1, 2)))),
            name_contains=chance.choice((None, None, "N-1", "3")),
            names=tuple(chance.sample([f"run-{n}" for n in range(40)], chance.choice((0, 0, 0, 1, 20)))),
            ids=tuple(run.id for run in chance.sample(made, chance.choice((0, 0, 0, 1, 150)))),
            roots=chance.random() < 0.2,
            flow_run_id=chance.choice((None, None, None, made[0].id)),
            after=chance.choice((None, NOW + timedelta(minutes=300))),
            before=chance.choice((None, NOW + timedelta(minutes=700))),
            deployment_id=chance.choice((None, None, RUN)),
        )
        limit, oldest_first = chance.choice((1, 5, 500)), chance.random() < 0.3
        in_order = sorted(made, key=lambda run: run.id.bytes, reverse=not oldest_first)
        expected = [run.id for run in in_order if fits(filter, run)]
        listed = reading.list_flow_runs(store, filter, limit, oldest_first=oldest_first)
        assert [run.id for run in listed] == expected[:limit], filter
        # The next page goes on behind the one before, and a stream's filter means the same.
        if len(expected) > limit:
            after = expected[limit - 1]
            more = reading.list_flow_runs(store, filter, limit, after=after, oldest_first=oldest_first)
            assert [run.id for run in more] == expected[limit : 2 * limit], filter
        assert [run.id for run in in_order if streaming.fits(filter, run)] == expected, filter
        assert reading.count_flow_runs(store, filter) == len(expected)


def fits(filter: RunFilter, run: FlowRun) -> bool:
    return (
        (not filter.flow_names or run.flow_name in filter.flow_names)
        and (not filter.state_names or run.state_name in filter.state_names)
        and (not filter.state_types or run.state_type in filter.state_types)
        and set(filter.tags) <= set(run.tags)
        and (filter.name_contains is None or filter.name_contains.lower() in run.name)
        and (not filter.names or run.name in filter.names)
        and (not filter.ids or run.id in filter.ids)
        and (not filter.roots or run.flow_run_id is None)
        and filter.flow_run_id in (None, run.flow_run_id)
        and filter.deployment_id in (None, run.deployment_id)
        and (filter.after is None or run.created >= filter.after)
        and (filter.before is None or run.created < filter.before)
    )


def test_task_runs_are_found_by_the_flow_they_ran_in(store: Store) -> None:
    state = make("Completed", NOW)
    ids = {}
    with store.write() as tx:
        for flow in "ab":
            run = FlowRun(
                id=SYSTEM.new_id(), name=flow, created=NOW, states=(state,), flow_id=flow_id(flow), flow_name=flow
            )
            flow_runs.put(tx, run)
            task = TaskRun(
                id=SYSTEM.new_id(),
                name="t",
                created=NOW,
                states=(state,),
                flow_run_id=run.id,
                task_name="t",
                task_key="t",
            )
            task_runs.report(tx, [task])
            ids[flow] = task.id
    assert [run.id for run in reading.list_task_runs(store, RunFilter(flow_names=("a",)), 10)] == [ids["a"]]


def test_only_ascii_letters_have_a_case_when_a_name_or_a_line_is_searched(store: Store) -> None:
    names = ("CAFÉ-one", "café-two", "Cafe-three")
    state = make("Completed", NOW)
    runs = [
        FlowRun(id=SYSTEM.new_id(), name=name, created=NOW, states=(state,), version=1, flow_id=flow_id("a"),
                flow_name="a")
        for name in names
    ]  # fmt: skip
    lines = [LogLine(runs[0].id, None, seq, NOW, 20, name) for seq, name in enumerate(names)]
    with store.write() as tx:
        for run in runs:
            flow_runs.put(tx, run)
        logs.append(tx, lines)
    for text, found in (("cafÉ", {"CAFÉ-one"}), ("CAFé", {"café-two"}), ("cAF", set(names)), ("É-ONE", {"CAFÉ-one"})):
        assert {run.name for run in reading.list_flow_runs(store, RunFilter(name_contains=text), 9)} == found
        (page,) = all_pages(store, runs[0].id, LogFilter(containing=text))
        assert {line.message for line in page} == found


def test_task_runs_are_found_by_their_time_whoever_made_their_ids(store: Store) -> None:
    """Ids of ours tell the time; those that others made may tell another one, or none."""
    chance = random.Random(3)

    def id_at(moment: datetime) -> UUID:
        kind = chance.choice(("ours", "ours", "late", "random"))
        if kind == "random":
            return UUID(int=chance.getrandbits(128))
        off = timedelta(seconds=chance.uniform(-55, 55)) if kind == "ours" else timedelta(days=chance.choice((-3, 400)))
        return UUID(int=(int((moment + off).timestamp() * 1000) << 80) | chance.getrandbits(80))

    made = []
    for number in range(400):
        moment = NOW + timedelta(seconds=chance.randrange(10_000))
        made.append(
            TaskRun(id=id_at(moment), name=f"load-{number}", created=moment, states=(make("Completed", moment),),
                    version=1, task_name="load", task_key="load", dynamic_key=str(number))
        )  # fmt: skip
    with store.write() as tx:
        task_runs.report(tx, made)
    newest_first = sorted(made, key=lambda run: run.id.bytes, reverse=True)
    for _ in range(100):
        after, before = (NOW + timedelta(seconds=chance.randrange(-100, 11_000)) for _ in range(2))
        filter = RunFilter(after=chance.choice((None, after)), before=chance.choice((None, before)))
        expected = [
            run.id
            for run in newest_first
            if (filter.after is None or run.created >= filter.after)
            and (filter.before is None or run.created < filter.before)
        ]
        limit = chance.choice((3, 40, 1000))
        page = [run.id for run in reading.list_task_runs(store, filter, limit)]
        assert page == expected[:limit]
        assert reading.count_all_task_runs(store, filter) == len(expected)
        assert reading.count_all_task_runs(store, msgspec.structs.replace(filter, state_types=(COMPLETED,))) == len(
            expected
        )
        if len(page) == limit:
            behind = [run.id for run in reading.list_task_runs(store, filter, limit, after=page[-1])]
            assert behind == expected[limit : 2 * limit]


def test_runs_are_counted_by_their_states(store: Store) -> None:
    names = ("Completed", "Cached", "Completed", "Failed", "Running", "Pending")
    with store.write() as tx:
        task_runs.report(
            tx,
            [
                TaskRun(id=SYSTEM.new_id(), name="load-0", created=NOW, states=(make(name, NOW),), version=1,
                        task_name="load", task_key="load", dynamic_key="0")
                for name in names
            ],
        )  # fmt: skip
    for types in ((), (COMPLETED,), (FAILED, COMPLETED), (FAILED, RUNNING), (CRASHED,), tuple(StateType)):
        expected = len([name for name in names if not types or make(name, NOW).type in types])
        assert reading.count_all_task_runs(store, RunFilter(state_types=types)) == expected


def test_a_run_that_is_not_there_is_named(store: Store) -> None:
    id = uuid4()
    with pytest.raises(ObjectNotFound, match=f"Flow run '{id}' not found!"):
        reading.get_flow_run(store, id)


# --- a log that grows ------------------------------------------------------------------------------------------------


def add(store: Store, run_id: UUID, *seqs: int, at: datetime = NOW) -> None:
    with store.write() as tx:
        logs.append(tx, [LogLine(run_id, None, seq, at, 20, f"m{seq}") for seq in seqs])


def seqs(cursor: log_reading.LogCursor, now: datetime = NOW) -> list[int]:
    return [line.seq for line in cursor.fresh(now)]


def test_each_line_is_given_once(store: Store) -> None:
    cursor = log_reading.LogCursor(store, RUN)
    assert seqs(cursor) == []
    add(store, RUN, 0, 1)
    assert seqs(cursor) == [0, 1]
    assert seqs(cursor) == []
    add(store, RUN, 2)
    assert seqs(cursor) == [2]


def test_a_line_that_is_about_to_come_is_waited_for(store: Store) -> None:
    cursor = log_reading.LogCursor(store, RUN)
    add(store, RUN, 0, 2, 3)
    assert seqs(cursor) == [0]
    assert seqs(cursor) == []
    add(store, RUN, 1)
    assert seqs(cursor) == [1, 2, 3]


def test_a_line_that_does_not_come_is_not_waited_for_long_and_still_given_when_it_does(store: Store) -> None:
    cursor = log_reading.LogCursor(store, RUN)
    add(store, RUN, 0, 2, 4)
    assert seqs(cursor, NOW + timedelta(seconds=3)) == [0, 2, 4]
    add(store, RUN, 3)
    assert seqs(cursor) == [3]
    add(store, RUN, 1, 5)
    assert seqs(cursor) == [1, 5]
    assert seqs(cursor) == []


def test_no_line_is_waited_for_longer_than_the_readers_patience(store: Store) -> None:
    cursor = log_reading.LogCursor(store, RUN, patience=timedelta(seconds=0.1))
    add(store, RUN, 0, 2)
    assert seqs(cursor) == [0]
    assert seqs(cursor, NOW + timedelta(seconds=0.09)) == []
    assert seqs(cursor, NOW + timedelta(seconds=0.1)) == [2]
    add(store, RUN, 1, 4)
    assert seqs(cursor, NOW + timedelta(seconds=0.1)) == [1]
    assert seqs(cursor, NOW + timedelta(seconds=0.2)) == [4]


@pytest.mark.parametrize("first", [logs.ATTEMPT, (77 << 32) + 5, logs.LATE])
def test_lines_of_other_processes_and_attempts_are_waited_for_by_nobody(first: int, store: Store) -> None:
    """A new attempt, a forked process, and who closes a run count by themselves; and the run goes on counting."""
    cursor = log_reading.LogCursor(store, RUN)
    add(store, RUN, 0, 1)
    assert seqs(cursor) == [0, 1]
    add(store, RUN, first)
    assert seqs(cursor) == [first]
    add(store, RUN, 2, first + 1)
    assert seqs(cursor) == [2, first + 1]
    add(store, RUN, 3, first + 3)
    assert seqs(cursor) == [3]
    assert seqs(cursor, NOW + timedelta(seconds=1)) == [first + 3]


def test_a_line_before_the_first_of_a_forked_process_may_be_late(store: Store) -> None:
    cursor = log_reading.LogCursor(store, RUN)
    add(store, RUN, 0, (77 << 32) + 6)
    assert seqs(cursor) == [0, (77 << 32) + 6]
    add(store, RUN, (77 << 32) + 5)
    assert seqs(cursor) == [(77 << 32) + 5]


def all_pages(store: Store, id: UUID, filter: LogFilter, *, backwards: bool = False) -> Iterator[list[LogLine]]:
    reached: dict[str, int] = {}
    while True:
        lines, more = log_reading.page(store, id, filter, log_reading.PAGE, backwards=backwards, **reached)
        yield lines
        if more is None:
            return
        reached = {"before" if backwards else "after": more}


def all_behind(cursor: log_reading.LogCursor, filter: LogFilter, after: int | None = -1) -> Iterator[LogLine]:
    while after is not None:
        lines, after = cursor.backlog(filter, after)
        yield from lines


def test_what_was_there_and_what_comes_are_each_line_once(store: Store) -> None:
    forked = 77 << 32
    add(store, RUN, 1, 2, 4, forked + 4, forked + 5, logs.LATE)
    cursor = log_reading.LogCursor.at_end(store, RUN)
    add(store, RUN, 0, 3, 5, forked + 6)
    behind = [1, 2, 4, forked + 4, forked + 5, logs.LATE]
    assert [line.seq for line in all_behind(cursor, LogFilter())] == behind
    assert seqs(cursor) == [0, 3, 5, forked + 6]
    assert seqs(cursor) == []
    assert [line.seq for line in all_behind(cursor, LogFilter(containing="m4"))] == [4]


def test_the_last_lines_of_what_was_there(store: Store) -> None:
    add(store, RUN, *range(10))
    cursor = log_reading.LogCursor.at_end(store, RUN)
    for filter, last, seqs in ((LogFilter(), 3, [7, 8, 9]), (LogFilter(containing="m2"), 3, [2])):
        before = log_reading.before_last(store, RUN, filter, last)
        assert [line.seq for line in all_behind(cursor, filter, before)] == seqs


def test_a_log_of_a_million_lines_and_more_goes_on_in_the_next_lane(store: Store) -> None:
    cursor = log_reading.LogCursor(store, RUN)
    end = logs.ATTEMPT
    add(store, RUN, end - 2, end - 1, end, end + 1)
    assert seqs(cursor, NOW + timedelta(days=1)) == [end - 2, end - 1, end, end + 1]
    add(store, RUN, end + 2)
    assert seqs(cursor) == [end + 2]


def test_a_page_of_long_lines_is_short(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LONGEST_PAGE", 100)
    with store.write() as tx:
        logs.append(tx, [LogLine(RUN, None, seq, NOW, 20, "x" * 40) for seq in range(8)])
    for backwards in (False, True):
        pages = list(all_pages(store, RUN, LogFilter(), backwards=backwards))
        assert [len(page) for page in pages] == [3, 3, 2]
        assert sorted(line.seq for page in pages for line in page) == list(range(8))
    cursor = log_reading.LogCursor(store, RUN)
    assert [seqs(cursor) for _ in range(4)] == [[0, 1, 2], [3, 4, 5], [6, 7], []]


def test_lines_are_chosen_by_their_time(store: Store) -> None:
    for seq in range(4):
        add(store, RUN, seq, at=NOW + timedelta(seconds=seq))
    filter = LogFilter(after=NOW + timedelta(seconds=1), before=NOW + timedelta(seconds=3))
    found = [line for page in all_pages(store, RUN, filter) for line in page]
    assert [line.seq for line in found] == [1, 2]
    every = [line for page in all_pages(store, RUN, LogFilter()) for line in page]
    assert [line for line in every if filter.fits(line)] == found


def test_old_gaps_cost_no_waiting_and_little_memory(store: Store) -> None:
    cursor = log_reading.LogCursor(store, RUN)
    add(store, RUN, *range(0, 3000, 3), 10**9)
    got = []
    while fresh := seqs(cursor, NOW + timedelta(days=1)):
        got += fresh
    assert got == [*range(0, 3000, 3), 10**9]
    add(store, RUN, 10**9 - 1, at=NOW)
    assert seqs(cursor) == [10**9 - 1]


def test_pages_hold_no_more_than_they_say(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "PAGE", 10)
    add(store, RUN, *range(95))
    pages = list(all_pages(store, RUN, LogFilter()))
    assert [len(page) for page in pages] == [10] * 9 + [5]
    assert [line.seq for page in pages for line in page] == list(range(95))
    backwards = [line.seq for page in all_pages(store, RUN, LogFilter(), backwards=True) for line in page]
    assert backwards == list(range(94, -1, -1))
    assert log_reading.before_last(store, RUN, LogFilter(), 25) == 69
    assert log_reading.before_last(store, RUN, LogFilter(), 1000) == logs.FIRST


def test_a_name_that_is_no_text_is_not_found(store: Store) -> None:
    with pytest.raises(ObjectNotFound, match=r"Flow run 'a\\udcff' not found"):
        reading.find_flow_run(store, "a\udcff")
