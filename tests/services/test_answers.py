"""The answers to operations, on each of the databases: lists in pages, what is chosen, and what people decide."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
import pytest

from penstock.domain.accounts import OPERATOR, VIEWER, Role
from penstock.domain.errors import (
    BlockNotFound,
    NotAllowed,
    ObjectNotFound,
    TransitionRefused,
    UnfinishedRun,
    UnreadableBlock,
)
from penstock.domain.filters import FilterError, LogFilter, RunFilter
from penstock.domain.runs import FlowRun, Holder
from penstock.domain.states import CANCELLED, COMPLETED, CRASHED, FAILED, FINAL, StateType
from penstock.protocol import block_documents as blocks
from penstock.protocol import flow_runs as runs
from penstock.protocol import flows, graphs, logs, task_runs, variables
from penstock.protocol.operation import OPERATIONS, Nothing, Operation, Unchanged
from penstock.services import answers, graph, selection
from penstock.services.desk import HANDLERS, Desk
from penstock.services.log_reading import LogPosition
from penstock.store import holders
from penstock.store import logs as kept_logs
from penstock.store.contract import Store
from penstock.vault import Vault

from ..cli.records import Records

T = TypeVar("T")
NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
HELD = Holder("elsewhere", "boot", 7, "1")


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Desk:
    assert answers
    return Desk(store, Vault(tmp_path / "secret.key", None), lambda: NOW, {HELD: None}.get, "ann")


@pytest.fixture
def records(store: Store) -> Records:
    return Records(store)  # type: ignore[arg-type]


@pytest.fixture
def ask(desk: Desk) -> Callable[..., Any]:
    """The answer, as it comes out at the other end of a wire."""

    def ask(operation: Operation[Any, T], argument: msgspec.Struct, by: Desk = desk) -> T:
        sent = msgspec.json.decode(msgspec.json.encode(argument), type=operation.takes)
        answer = by.answer(operation, sent)
        if operation.gives is None:
            return answer
        return msgspec.json.decode(msgspec.json.encode(answer), type=operation.gives)

    return ask


def test_every_operation_has_an_answer() -> None:
    assert HANDLERS.keys() == OPERATIONS.keys()


# --- lists -----------------------------------------------------------------------------------------------------------


def pages(ask: Callable[..., Any], operation: Operation[Any, Any], query: Callable[..., Any]) -> Iterator[Any]:
    cursor = None
    while True:
        page = ask(operation, query(limit=2, cursor=cursor))
        assert len(page.items) <= 2
        yield from page.items
        cursor = page.next
        if cursor is None:
            return


def test_lists_go_on_where_they_ended(ask: Callable[..., Any], records: Records) -> None:
    made = [records.flow_run(name=f"run-{n}", flow=f"flow {n % 3}") for n in range(5)]
    tasks = records.mapped(made[0], 5)
    for name in ("b", "a", "d", "c"):
        ask(variables.CREATE_VARIABLE, variables.SetVariable(name=name, value=name))
        ask(blocks.CREATE_BLOCK, blocks.SaveBlock(type="json", name=name, data={}))
        ask(blocks.CREATE_BLOCK, blocks.SaveBlock(type="secret", name=name, data={}))
    newest = [run.id for run in reversed(made)]
    assert [run.id for run in pages(ask, runs.FILTER_FLOW_RUNS, runs.FilterRuns)] == newest
    assert [run.id for run in pages(ask, task_runs.FILTER_TASK_RUNS, runs.FilterRuns)] == [t.id for t in tasks[::-1]]
    assert [flow.name for flow in pages(ask, flows.FILTER_FLOWS, flows.FilterFlows)] == ["flow 1", "flow 0", "flow 2"]
    names = [each.name for each in pages(ask, variables.FILTER_VARIABLES, variables.FilterVariables)]
    assert names == ["a", "b", "c", "d"]
    found = [(each.type, each.name) for each in pages(ask, blocks.FILTER_BLOCKS, blocks.FilterBlocks)]
    assert found == [(type_, name) for type_ in ("json", "secret") for name in "abcd"]
    of_a_type = pages(ask, blocks.FILTER_BLOCKS, lambda **page: blocks.FilterBlocks(type="json", **page))
    assert [each.name for each in of_a_type] == ["a", "b", "c", "d"]


def test_a_cursor_that_was_not_given_is_refused(ask: Callable[..., Any]) -> None:
    lists: list[tuple[Operation[Any, Any], Callable[..., Any]]] = [
        (runs.FILTER_FLOW_RUNS, runs.FilterRuns),
        (task_runs.FILTER_TASK_RUNS, runs.FilterRuns),
        (flows.FILTER_FLOWS, flows.FilterFlows),
        (blocks.FILTER_BLOCKS, blocks.FilterBlocks),
    ]
    for operation, query in lists:
        for cursor in ("", "!", "AAAA", "WzFd", "bnVsbA==", "W1siYSJdLCBbImIiXV0=", "\u00fc" * 20):
            with pytest.raises(FilterError, match="cursor"):
                ask(operation, query(cursor=cursor))


def test_filters_of_rest(ask: Callable[..., Any], records: Records) -> None:
    root = records.flow_run(name="root")
    child = records.flow_run("Failed", name="child", flow="load", flow_run_id=root.id)
    task, alone = records.task_run(root, number=1), records.task_run(None, "Failed", number=2)

    def flow_runs(**filter: Any) -> list[str]:
        found = ask(runs.FILTER_FLOW_RUNS, runs.FilterRuns(filter=RunFilter(**filter))).items
        assert ask(runs.COUNT_FLOW_RUNS, runs.CountRuns(filter=RunFilter(**filter))).count == len(found)
        return [run.name for run in found]

    def tasks(**filter: Any) -> list[Any]:
        found = ask(task_runs.FILTER_TASK_RUNS, runs.FilterRuns(filter=RunFilter(**filter))).items
        assert ask(task_runs.COUNT_TASK_RUNS, runs.CountRuns(filter=RunFilter(**filter))).count == len(found)
        return [run.id for run in found]

    assert flow_runs(ids=(root.id, child.id, uuid4())) == ["child", "root"]
    assert flow_runs(ids=(root.id, child.id), state_types=(FAILED,)) == ["child"]
    assert flow_runs(ids=(root.id, child.id), flow_names=("load",)) == ["child"]
    assert flow_runs(ids=(root.id, child.id), flow_run_id=root.id) == ["child"]
    assert flow_runs(names=("root", "child", "other")) == ["child", "root"]
    assert flow_runs(names=("child",), state_types=(COMPLETED,)) == []
    assert flow_runs(roots=True) == ["root"]
    assert flow_runs(roots=True, flow_run_id=root.id) == []
    assert tasks(ids=(task.id,)) == [task.id]
    assert tasks(ids=(task.id, alone.id), state_types=(FAILED,)) == [alone.id]
    assert tasks(names=("load-2",)) == [alone.id]
    assert tasks(roots=True) == [alone.id]
    assert tasks(flow_run_id=root.id, names=("load-1",)) == [task.id]


def test_history_is_counted_on_every_way_to_the_runs(ask: Callable[..., Any], records: Records) -> None:
    for names, flow, hours in (
        (("Failed",), "a", 1), (("Failed",), "b", 1), (("Crashed",), "a", 2), (("Completed",), "a", 2),
        (("Completed",), "a", 30),
    ):  # fmt: skip
        records.flow_run(*names, flow=flow, ago=hours * HOUR)
    end = datetime.now(UTC)

    def history(**filter: Any) -> list[dict[str, int]]:
        query = runs.RunHistory(start=end - 3 * HOUR, end=end, interval_seconds=3600, filter=RunFilter(**filter))
        return [{each.state_name: each.count for each in one.states} for one in ask(runs.FLOW_RUN_HISTORY, query)]

    assert history() == [{"Crashed": 1, "Completed": 1}, {"Failed": 2}, {}]
    assert history(state_types=(FAILED, CRASHED)) == [{"Crashed": 1}, {"Failed": 2}, {}]
    assert history(flow_names=("a",)) == [{"Crashed": 1, "Completed": 1}, {"Failed": 1}, {}]
    assert history(before=end - 1.5 * HOUR) == [{"Crashed": 1, "Completed": 1}, {}, {}]


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_who_has_seen_a_run_waits_for_its_next_version(desk: Desk, records: Records) -> None:
    made = records.flow_run("Running")
    assert desk.answer(runs.WAIT_FOR_FLOW_RUN, runs.WaitForRun(id=made.id, seen=made.version - 1)) == made
    with pytest.raises(Unchanged):
        desk.answer(runs.WAIT_FOR_FLOW_RUN, runs.WaitForRun(id=made.id, seen=made.version))
    number = desk.answer(runs.READ_CHANGES, runs.ChangesSeen()).number
    with pytest.raises(Unchanged):
        desk.answer(runs.READ_CHANGES, runs.ChangesSeen(seen=number))
    records.task_run(made)
    desk.store.wait_for_change(number, 5)
    assert desk.answer(runs.READ_CHANGES, runs.ChangesSeen(seen=number)).number != number


def test_a_log_is_followed_from_answer_to_answer(ask: Callable[..., Any], records: Records) -> None:
    made = records.flow_run("Running")
    task = records.task_run(made)
    records.lines(made, *(f"line {number}" for number in range(30)))
    records.lines(task, "of the task", start=30)

    def follow(position: str | None, **more: Any) -> logs.LogNews:
        answer: logs.LogNews = ask(logs.FOLLOW_LOGS, logs.FollowLogs(flow_run_id=made.id, position=position, **more))
        return answer

    first = follow(None, last=3)
    assert [line.seq for line in first.items] == [28, 29, 30]
    assert first.tasks[task.id] == logs.TaskNames("load-0", "load")
    second = follow(first.position)
    assert (second.items, second.ended) == ([], False)
    with pytest.raises(Unchanged):
        follow(second.position)
    records.lines(made, "after a gap", start=40, ago=timedelta(hours=1))
    waited = follow(second.position)
    # The line is old: a line before it will not come.
    assert [line.message for line in waited.items] == ["after a gap"]
    records.lines(made, "late", start=35, ago=timedelta(hours=1))
    assert [line.message for line in follow(waited.position).items] == ["late"]
    only = follow(second.position, filter=LogFilter(containing="nothing"))
    assert (only.items, only.silent) == ([], False)
    records.flow_run("Running", "Completed", id=made.id)
    end = follow(waited.position, filter=LogFilter(containing="nothing"))
    assert (end.ended, end.settled) == (True, False)
    with pytest.raises(Unchanged):  # who knows of the end waits for what may still be said
        follow(end.position)


def test_a_position_says_no_more_than_where_a_reader_is(ask: Callable[..., Any], records: Records) -> None:
    made = records.flow_run()
    records.lines(made, "one")
    huge = LogPosition({0: 2**62, 2**61: 5}, [2**62], {}, None, False).text()
    answer = ask(logs.FOLLOW_LOGS, logs.FollowLogs(flow_run_id=made.id, position=huge))
    assert answer.items == []
    for packed in (b"\xc1", b"\x95\x81\xcb", msgspec.msgpack.encode([{0: -5}, [], {}, None, False])):
        position = base64.urlsafe_b64encode(packed).decode()
        with pytest.raises(FilterError, match="none of a log"):
            ask(logs.FOLLOW_LOGS, logs.FollowLogs(flow_run_id=made.id, position=position))


def test_pages_of_a_log_have_cursors(ask: Callable[..., Any], records: Records) -> None:
    made = records.flow_run()
    records.lines(made, *map(str, range(7)))

    def read(backwards: bool, last: int | None = None) -> list[int]:
        found, cursor = [], None
        while True:
            query = logs.FilterLogs(flow_run_id=made.id, limit=3, backwards=backwards, cursor=cursor, last=last)
            page = ask(logs.FILTER_LOGS, query)
            found += [line.seq for line in page.items]
            cursor = page.next
            if cursor is None:
                return found

    assert read(False) == [0, 1, 2, 3, 4, 5, 6]
    assert read(True) == [6, 5, 4, 3, 2, 1, 0]
    assert read(False, last=4) == [3, 4, 5, 6]
    between = ask(logs.FILTER_LOGS, logs.FilterLogs(flow_run_id=made.id, after=1, before=5))
    assert [line.seq for line in between.items] == [2, 3, 4]
    with pytest.raises(FilterError, match="no cursor"):
        ask(logs.FILTER_LOGS, logs.FilterLogs(flow_run_id=made.id, cursor="x"))
    with pytest.raises(ObjectNotFound):
        ask(logs.FILTER_LOGS, logs.FilterLogs(flow_run_id=uuid4()))


def test_a_tree_comes_back_as_it_was(ask: Callable[..., Any], records: Records, store: Store) -> None:
    made = records.flow_run()
    records.mapped(made, 30, failed=2)
    task = records.task_run(made, task="outer", number=77)
    records.flow_run(flow_run_id=made.id, parent_task_run_id=task.id, upstream={"x": (task.id,)})
    answer = ask(graphs.READ_GRAPH, graphs.ReadGraph(id=made.id))
    assert graphs.tree_of(answer) == graph.read(store, made)


# --- deciding --------------------------------------------------------------------------------------------------------


def test_nobody_closes_what_may_be_running(ask: Callable[..., Any], records: Records, desk: Desk) -> None:
    """The law of the record, for every state there is."""
    alive = msgspec.structs.replace(desk, lives=lambda _: True)
    dead = msgspec.structs.replace(desk, lives=lambda _: False)

    def propose(made: FlowRun, type_: StateType, by: Desk) -> runs.StateSet:
        query = runs.SetState(id=made.id, state=runs.Proposal(type=type_), force=True)
        answer: runs.StateSet = ask(runs.SET_FLOW_RUN_STATE, query, by)
        return answer

    for type_ in StateType:
        held = records.flow_run("Running", holder=HELD)
        answer = propose(held, type_, alive)
        assert (answer.status, answer.state.name) == (runs.Verdict.REJECT, "Running"), type_
        answer = propose(held, type_, dead)
        if type_ in FINAL:
            assert (answer.status, answer.state.type) == (runs.Verdict.ACCEPT, type_)
            assert (answer.state.details or {})["who"] == "ann"
        else:
            assert answer.status is runs.Verdict.REJECT, type_


def test_closing_ends_what_is_below_and_whoever_comes_back_cannot_write(
    ask: Callable[..., Any], records: Records, desk: Desk
) -> None:
    made = records.flow_run("Running", holder=HELD, epoch=3)
    task = records.task_run(made, "Running")
    proposal = runs.Proposal(type=FAILED, name="TimedOut", message="Nobody answers.")
    ask(runs.SET_FLOW_RUN_STATE, runs.SetState(id=made.id, state=proposal, force=True))
    closed = ask(runs.READ_FLOW_RUN, runs.ById(made.id))
    assert (closed.state.name, closed.state.message, closed.epoch) == ("TimedOut", "Nobody answers. (set by ann)", 4)
    assert ask(task_runs.READ_TASK_RUN, runs.ById(task.id)).state.is_final()
    (line,) = ask(logs.FILTER_LOGS, logs.FilterLogs(flow_run_id=made.id)).items
    assert "set by ann" in line.message
    assert line.seq >= kept_logs.LATE
    wrong = runs.Proposal(type=FAILED, name="Completed")
    other = records.flow_run("Scheduled")
    answer = ask(runs.SET_FLOW_RUN_STATE, runs.SetState(id=other.id, state=wrong, force=True))
    assert answer.status is runs.Verdict.REJECT


def test_a_lease_that_has_not_ended_counts_as_life(ask: Callable[..., Any], records: Records, store: Store) -> None:
    made = records.flow_run("Running", holder=HELD)
    query = runs.SetState(id=made.id, state=runs.Proposal(type=FAILED), force=True)
    with store.write() as tx:
        holders.put(tx, HELD, NOW + HOUR, False)
    assert ask(runs.SET_FLOW_RUN_STATE, query).status is runs.Verdict.REJECT
    with store.write() as tx:
        holders.put(tx, HELD, NOW - HOUR, False)
    answer = ask(runs.SET_FLOW_RUN_STATE, query)
    assert answer.status is runs.Verdict.ACCEPT
    assert (answer.state.details or {})["confirmed"] is False, "that it is gone was not seen"


def test_without_force_a_person_cancels(ask: Callable[..., Any], records: Records, desk: Desk) -> None:
    alive = msgspec.structs.replace(desk, lives=lambda _: True)
    held, idle = records.flow_run("Running", holder=HELD), records.flow_run("Scheduled")
    query = runs.SetState(id=held.id, state=runs.Proposal(type=CANCELLED))
    answer = ask(runs.SET_FLOW_RUN_STATE, query, alive)
    assert (answer.status, answer.state.name) == (runs.Verdict.ACCEPT, "Cancelling")
    assert "when its code has stopped" in answer.details.reason
    query = runs.SetState(id=idle.id, state=runs.Proposal(type=CANCELLED))
    assert ask(runs.SET_FLOW_RUN_STATE, query).state.name == "Cancelled"


def test_too_many_runs_are_no_choice(
    ask: Callable[..., Any], records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "MOST", 2)
    for _ in range(3):
        records.flow_run("Scheduled")
    with pytest.raises(FilterError, match="narrow the choice"):
        ask(runs.BULK_CANCEL_FLOW_RUNS, runs.BulkCancel(filter=RunFilter()))
    with pytest.raises(FilterError, match="have not ended"):
        ask(runs.BULK_DELETE_FLOW_RUNS, runs.BulkDelete(filter=RunFilter(state_names=("Scheduled",))))


def test_many_are_deleted_in_pieces(ask: Callable[..., Any], records: Records) -> None:
    made = [records.flow_run("Failed") for _ in range(3)]
    records.flow_run("Running")
    answer = ask(runs.BULK_DELETE_FLOW_RUNS, runs.BulkDelete(filter=RunFilter(), limit=2))
    assert (answer.ids, answer.more) == ([made[2].id, made[1].id], True)
    answer = ask(runs.BULK_DELETE_FLOW_RUNS, runs.BulkDelete(filter=RunFilter(), limit=2))
    assert (answer.ids, answer.more) == ([made[0].id], False)
    (left,) = ask(runs.FILTER_FLOW_RUNS, runs.FilterRuns()).items
    with pytest.raises(UnfinishedRun):
        ask(runs.DELETE_FLOW_RUN, runs.DeleteRun(id=left.id))


def test_whether_a_run_could_be_retried_is_said(ask: Callable[..., Any], records: Records) -> None:
    done, failed = records.flow_run(), records.flow_run("Failed")
    with pytest.raises(TransitionRefused, match="there is nothing to retry"):
        ask(runs.CHECK_RETRY, runs.CheckRetry(id=done.id))
    with pytest.raises(TransitionRefused, match="does not say where its flow is"):
        ask(runs.CHECK_RETRY, runs.CheckRetry(id=failed.id))
    assert ask(runs.CHECK_RETRY, runs.CheckRetry(id=failed.id, elsewhere=True)) == failed


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (OPERATOR, True)])
def test_secrets_are_for_operators(ask: Callable[..., Any], desk: Desk, role: Role, may: bool) -> None:
    save = blocks.SaveBlock(
        type="secret", name="k", data={"value": None}, secrets=[blocks.ClearSecret(("value",), "open sesame")]
    )
    answer = ask(blocks.CREATE_BLOCK, save)
    by = msgspec.structs.replace(desk, role=role)
    read = blocks.ReadBlock(type="secret", name="k")
    assert ask(blocks.READ_BLOCK_BY_NAME, read, by).data == {"value": "********"}
    for operation, query in (
        (blocks.READ_BLOCK_BY_NAME, msgspec.structs.replace(read, include_secrets=True)),
        (blocks.READ_BLOCK, blocks.ReadBlockById(id=answer.id, include_secrets=True)),
    ):
        if may:
            assert ask(operation, query, by).fields() == {"value": "open sesame"}
        else:
            with pytest.raises(NotAllowed, match="role viewer"):
                ask(operation, query, by)


def test_no_clear_secret_is_in_what_is_said_or_kept(ask: Callable[..., Any], store: Store) -> None:
    secrets = [blocks.ClearSecret(("a", 0), "open sesame"), blocks.ClearSecret(("b",), None, b"open sesame")]
    save = blocks.SaveBlock(type="own", name="k", data={"a": [None], "b": None, "c": 1}, secrets=secrets)
    said = [repr(save), repr(ask(blocks.CREATE_BLOCK, save)), repr(ask(blocks.FILTER_BLOCKS, blocks.FilterBlocks()))]
    with store.read() as tx:
        said += [repr(list(tx.rows(f"SELECT * FROM {table}"))) for table in ("block_document", "audit", "answered")]
    assert not [text for text in said if "sesame" in text or base64.b64encode(b"open sesame").decode() in text]


def test_blocks_that_are_damaged_or_missing(ask: Callable[..., Any], store: Store) -> None:
    secrets = [blocks.ClearSecret(("a",), 1)]
    ask(blocks.CREATE_BLOCK, blocks.SaveBlock(type="own", name="k", data={"a": None}, secrets=secrets))
    with store.write() as tx:
        tx.run("UPDATE block_document SET data = '{}'")
        tx.run("""UPDATE block_document SET secrets = '[[["a", "b"], "x"]]'""")
    with pytest.raises(UnreadableBlock, match="damaged"):
        ask(blocks.READ_BLOCK_BY_NAME, blocks.ReadBlock(type="own", name="k"))
    ask(blocks.DELETE_BLOCK, blocks.BlockAddress("own", "k"))
    for operation, query in (
        (blocks.DELETE_BLOCK, blocks.BlockAddress("own", "k")),
        (blocks.READ_BLOCK, blocks.ReadBlockById(id=uuid4())),
        (blocks.UPDATE_BLOCK, blocks.UpdateBlock(type="own", name="k", data={})),
    ):
        with pytest.raises(BlockNotFound):
            ask(operation, query)
    assert ask(blocks.COUNT_BLOCKS, Nothing()) == {}
    assert ask(blocks.REENCRYPT_BLOCKS, Nothing()) == blocks.Reencrypted(0, 0)
