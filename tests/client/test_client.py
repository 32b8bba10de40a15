"""`get_client()`: the same answers from the record of this process and from a server."""

from __future__ import annotations

import asyncio
import inspect
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from penstock import __version__, connect, flow, task
from penstock.client import PenstockClient, SyncPenstockClient, get_client
from penstock.domain.errors import (
    AmbiguousId,
    BadRequest,
    BlockNotFound,
    ConfigurationError,
    NameTaken,
    ObjectNotFound,
    ServerUnavailableError,
    TransitionRefused,
    UnfinishedRun,
    UnstorableValue,
)
from penstock.domain.filters import FilterError, LogFilter, RunFilter
from penstock.domain.ids import InvalidId
from penstock.domain.runs import FlowRun, Holder
from penstock.domain.schedules import CronSchedule
from penstock.domain.states import CANCELLED, COMPLETED, FAILED, Cancelled, Completed, Failed, Paused, Running
from penstock.protocol.block_documents import ClearSecret
from penstock.protocol.deployments import APPLY_DEPLOYMENT, ApplyDeployment
from penstock.protocol.flow_runs import Outcome, Verdict
from penstock.protocol.logs import FOLLOW_LOGS, FollowLogs
from penstock.settings import refresh
from penstock.store import holders

from ..cli.records import Records
from ..flows.kit import taking_less_than
from ..served.kit import ServerProcess, free_port
from . import generate

ELSEWHERE = Holder("elsewhere", "boot", 7, "1")


def running(records: Records) -> FlowRun:
    """A run of a process that cannot be seen from here, and lives as far as is known."""
    with records.store.write() as tx:
        holders.put(tx, ELSEWHERE, datetime.now(UTC) + timedelta(hours=1), False)
    return records.flow_run("Running", holder=ELSEWHERE)


# --- the two clients -------------------------------------------------------------------------------------------------


def test_the_awaited_client_is_in_step_with_the_one_that_is_called() -> None:
    assert generate.TARGET.read_text() == generate.generated(), "run `python tests/client/generate.py`"


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(each).parameters) for name, each in found if not name.startswith("_")}

    called = methods(SyncPenstockClient)
    del called["close"]
    assert methods(PenstockClient) == called


def test_the_awaited_client_answers_and_iterates(records: Records) -> None:
    runs = [records.flow_run(name=f"run-{number}") for number in range(5)]
    records.lines(runs[0], "one", "two")

    async def ask() -> None:
        async with get_client() as client:
            assert (await client.read_flow_run(runs[0].id)).name == "run-0"
            assert [run.name async for run in client.iter_flow_runs()] == [f"run-{n}" for n in (4, 3, 2, 1, 0)]
            assert [line.message async for line in client.follow_logs(runs[0].id)] == ["one", "two"]
            assert await client.api_healthcheck() is None

    asyncio.run(ask())


def test_who_gives_up_waiting_leaves_no_thread_that_waits(records: Records) -> None:
    made = running(records)

    async def ask() -> None:
        async with get_client() as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.wait_for_flow_run(made.id), 0.3)

    with taking_less_than(5.0):  # the loop's end waits for its threads
        asyncio.run(ask())


def test_who_answers_says_its_version(client: SyncPenstockClient) -> None:
    assert (client.hello(), client.api_version(), client.api_healthcheck()) == ("ok", __version__, None)


# --- flow runs -------------------------------------------------------------------------------------------------------


def test_flow_runs_are_read_counted_and_found(client: SyncPenstockClient, records: Records) -> None:
    parent = records.flow_run(name="proud-parent", tags=("nightly",))
    child = records.flow_run("Running", "Failed", name="small-child", flow="load", flow_run_id=parent.id)
    assert client.read_flow_run(str(parent.id)) == parent
    assert client.read_flow_runs() == [child, parent]
    assert client.read_flow_runs(limit=1) == [child]
    for filter, found in (
        (RunFilter(ids=(parent.id, uuid4())), [parent]),
        (RunFilter(names=("small-child", "nobody")), [child]),
        (RunFilter(roots=True), [parent]),
        (RunFilter(flow_run_id=parent.id), [child]),
        (RunFilter(state_types=(FAILED,)), [child]),
        (RunFilter(tags=("nightly",), state_names=("Completed",)), [parent]),
        (RunFilter(ids=(parent.id,), state_types=(FAILED,)), []),
    ):
        assert client.read_flow_runs(filter) == found, filter
        assert client.count_flow_runs(filter) == len(found), filter
    assert client.find_flow_run("small-child") == child
    assert client.find_flow_run(str(child.id)[-8:]) == child
    assert [state.name for state in client.read_flow_run_states(child.id)] == ["Running", "Failed"]


def test_iterating_reads_all_pages(
    client: SyncPenstockClient, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.client.blocking.MOST", 3)
    made = [records.flow_run(name=f"run-{number}") for number in range(7)]
    assert [run.id for run in client.iter_flow_runs()] == [run.id for run in reversed(made)]
    assert len(client.read_flow_runs(limit=5)) == 5
    assert [flow.name for flow in client.iter_flows()] == ["etl"]


def test_errors_are_those_of_the_tree(client: SyncPenstockClient, records: Records) -> None:
    records.flow_run(name="twin")
    records.flow_run(name="twin")
    with pytest.raises(AmbiguousId, match="could be any of several"):
        client.find_flow_run("twin")
    missing = uuid4()
    with pytest.raises(ObjectNotFound, match=f"Flow run '{missing}' not found!"):
        client.read_flow_run(missing)
    with pytest.raises(ObjectNotFound):
        client.read_task_run(missing)
    with pytest.raises(InvalidId, match="is not an id"):
        client.read_flow_run("no-id")
    with pytest.raises(FilterError, match="There is no state 'Gone'"):
        client.read_flow_runs(RunFilter(state_names=("Gone",)))
    with pytest.raises(BadRequest, match="one of the two"):
        client.cancel_flow_runs()


def test_history_counts_runs_by_time_and_state(client: SyncPenstockClient, records: Records) -> None:
    hour = timedelta(hours=1)
    records.flow_run("Completed", ago=2 * hour)
    records.flow_run("Failed", ago=2 * hour)
    records.flow_run("Completed", ago=5 * hour, flow="other")
    now = datetime.now(UTC)
    found = client.read_flow_run_history(now - 6 * hour, now, 3600)
    assert len(found) == 6
    assert {(i, s.state_name): s.count for i, each in enumerate(found) for s in each.states} == {
        (0, "Completed"): 1, (3, "Completed"): 1, (3, "Failed"): 1,
    }  # fmt: skip
    assert found[0].start == now - 6 * hour
    assert found[-1].end == now
    only = client.read_flow_run_history(now - 6 * hour, now, 3600, RunFilter(flow_names=("other",)))
    assert sum(s.count for each in only for s in each.states) == 1
    with pytest.raises(FilterError, match="intervals"):
        client.read_flow_run_history(now - 6 * hour, now, 1)


def test_a_graph_is_a_list_of_nodes(client: SyncPenstockClient, records: Records) -> None:
    made = records.flow_run(name="wide")
    records.mapped(made, 30, failed=2)
    graph = client.read_flow_run_graph(made.id, shown=3)
    assert [node.name for node in graph.nodes] == ["wide", "square-0", "square-1", "square-2"]
    assert graph.nodes[1].above == made.id
    assert [fold.states for fold in graph.nodes[0].folds] == [{COMPLETED: 25, FAILED: 2}]
    assert client.count_task_runs_of_flow_run(made.id) == {"Completed": 28, "Failed": 2}


# --- deciding --------------------------------------------------------------------------------------------------------


def test_a_run_is_cancelled_and_its_end_awaited(client: SyncPenstockClient, records: Records) -> None:
    waiting = records.flow_run("Scheduled")
    assert client.cancel_flow_run(waiting.id).state.is_cancelled()
    with pytest.raises(TransitionRefused, match="already ended in state 'Cancelled'"):
        client.cancel_flow_run(waiting.id)
    made = running(records)
    with pytest.raises(TimeoutError, match=r"did not end within 0\.1 s: it is Running"):
        client.wait_for_flow_run(made.id, timeout=0.1)
    assert client.wait_for_flow_run(waiting.id) == client.read_flow_run(waiting.id)


def test_many_are_cancelled_and_each_has_its_answer(client: SyncPenstockClient, records: Records) -> None:
    ended, parent = records.flow_run(), records.flow_run("Scheduled", name="above")
    child = records.flow_run("Scheduled", flow_run_id=parent.id)
    alone = records.flow_run("Scheduled")
    preview = client.cancel_flow_runs(RunFilter(), dry_run=True)
    assert [each.id for each in preview] == [parent.id, alone.id], "one that ends with another is left out"
    assert client.read_flow_run(alone.id).state_name == "Scheduled"
    missing = uuid4()
    found = client.cancel_flow_runs(ids=[ended.id, alone.id, child.id, missing])
    assert [each.outcome for each in found] == [
        Outcome.REFUSED, Outcome.CANCELLED, Outcome.CANCELLED, Outcome.MISSING,
    ]  # fmt: skip
    assert [each.run and each.run.state_name for each in found] == ["Completed", "Cancelled", "Cancelled", None]
    with pytest.raises(FilterError, match="COMPLETED cannot be cancelled"):
        client.cancel_flow_runs(RunFilter(state_types=(COMPLETED,)))


def test_a_state_that_a_person_proposes(client: SyncPenstockClient, records: Records) -> None:
    held, idle = running(records), records.flow_run("Scheduled")
    answer = client.set_flow_run_state(held.id, Completed())
    assert (answer.status, answer.state.name) == (Verdict.REJECT, "Running")
    answer = client.set_flow_run_state(held.id, Paused())
    assert (answer.status, answer.state.name) == (Verdict.ACCEPT, "Running")
    assert answer.details.reason == "The run is asked to wait: it is Paused before its next task."
    assert client.set_flow_run_state(idle.id, Paused()).status is Verdict.REJECT
    answer = client.set_flow_run_state(held.id, Completed(), force=True)
    assert answer.status is Verdict.REJECT
    assert "lives, as far as is known" in (answer.details.reason or "")
    assert client.set_flow_run_state(idle.id, Running(), force=True).status is Verdict.REJECT
    answer = client.set_flow_run_state(idle.id, Failed(message="The table is gone."), force=True)
    assert (answer.status, answer.state.name) == (Verdict.ACCEPT, "Failed")
    assert (answer.state.message or "").startswith("The table is gone. (set by ")
    assert "who" in (answer.state.details or {})
    answer = client.set_flow_run_state(idle.id, Completed(), force=True)
    assert (answer.status, answer.details.reason) == (Verdict.REJECT, "The run already ended in state 'Failed'.")
    other = records.flow_run("Scheduled")
    assert client.set_flow_run_state(other.id, Cancelled()).state.type is CANCELLED
    with pytest.raises(ObjectNotFound):
        client.set_flow_run_state(uuid4(), Cancelled())


def test_what_people_say_of_a_run_is_changed(client: SyncPenstockClient, records: Records) -> None:
    made = records.flow_run(name="old", tags=("a",), labels={"team": "x"})
    changed = client.update_flow_run(made.id, name="new", tags=["b", "b"], keep=True)
    assert (changed.name, changed.tags, changed.labels, changed.keep) == ("new", ("b",), {"team": "x"}, True)
    assert changed.version == made.version + 1
    assert client.update_flow_run(made.id, labels={}).labels == {}
    assert client.update_flow_run(made.id).version == made.version + 2
    with pytest.raises(UnstorableValue):
        client.update_flow_run(made.id, tags=["\x1b"])


def test_runs_are_deleted_all_or_none(client: SyncPenstockClient, records: Records) -> None:
    ended, running = records.flow_run("Failed"), records.flow_run("Running")
    records.flow_run(flow_run_id=ended.id)
    with pytest.raises(UnfinishedRun):
        client.delete_flow_runs(ids=[ended.id, running.id])
    assert client.read_flow_run(ended.id) == ended
    preview = client.delete_flow_runs(RunFilter(state_types=(FAILED,)), dry_run=True)
    assert (preview.ids, preview.subflow_runs, preview.more) == ([ended.id], 1, False)
    assert client.read_flow_run(ended.id) == ended
    assert client.delete_flow_runs(RunFilter(state_types=(FAILED,)), limit=5).ids == [ended.id]
    assert client.delete_flow_run(running.id, force=True).flow_runs == 1
    with pytest.raises(ObjectNotFound):
        client.delete_flow_run(running.id)
    assert client.count_flow_runs() == 0


# --- task runs, flows, logs ------------------------------------------------------------------------------------------


def test_task_runs(client: SyncPenstockClient, records: Records) -> None:
    made = running(records)
    task, other = records.task_run(made), records.task_run(made, "Running", task="extract")
    assert client.read_task_run(task.id) == task
    assert client.find_task_run(str(task.id)[-9:]) == task
    assert client.read_task_runs(RunFilter(flow_run_id=made.id)) == [other, task]
    assert client.read_task_runs(RunFilter(task_names=("extract",))) == [other]
    assert client.read_task_runs(RunFilter(ids=(task.id,))) == [task]
    assert client.count_task_runs(RunFilter(state_types=(COMPLETED,))) == 1
    assert client.cancel_task_run(other.id, grace=1).state_name == "Running"
    assert [state.name for state in client.read_task_run_states(task.id)] == ["Pending", "Running", "Completed"]
    assert client.wait_for_task_run(task.id).state.is_completed()


def test_flows_by_their_last_use(client: SyncPenstockClient, records: Records) -> None:
    records.flow_run(flow="a/b")
    records.flow_run("Failed", flow="other flow")
    assert [(flow.name, flow.runs, flow.failed) for flow in client.read_flows()] == [
        ("other flow", 1, 1),
        ("a/b", 1, 0),
    ]
    flow = client.read_flow_by_name("a/b")
    assert client.read_flow(flow.id) == flow
    assert client.count_flows() == 2
    with pytest.raises(ObjectNotFound, match="Did you mean 'other flow'"):
        client.read_flow_by_name("other flaw")


def test_logs_are_read_in_pages(client: SyncPenstockClient, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.client.blocking.MOST", 4)
    made = records.flow_run()
    task = records.task_run(made)
    records.lines(made, *(f"line {number}" for number in range(10)))
    records.lines(task, "of the task", start=10, level=40)
    assert [line.seq for line in client.iter_logs(made.id)] == list(range(11))
    assert [line.seq for line in client.read_logs(made.id, limit=6, backwards=True)] == [10, 9, 8, 7, 6, 5]
    assert [line.message for line in client.read_logs(task_run_id=task.id)] == ["of the task"]
    assert [line.seq for line in client.read_logs(made.id, filter=LogFilter(level=40))] == [10]
    with pytest.raises(BadRequest, match="Say whose log"):
        client.read_logs()


def test_a_log_is_followed_while_it_grows(client: SyncPenstockClient, records: Records) -> None:
    made = running(records)
    records.lines(made, "first", "second")
    seen: list[str] = []
    two, three = threading.Event(), threading.Event()

    def follow() -> None:
        for line in client.follow_logs(made.id):
            seen.append(line.message)
            (two if len(seen) == 2 else three).set()

    following = threading.Thread(target=follow)
    following.start()
    assert two.wait(10)
    records.lines(made, "third", start=2)
    assert three.wait(10)
    records.flow_run("Running", "Completed", id=made.id)
    records.lines(made, "the last word", start=3)
    following.join(10)
    assert not following.is_alive()
    assert seen == ["first", "second", "third", "the last word"]


def test_a_position_that_was_not_given_is_refused(client: SyncPenstockClient, records: Records) -> None:
    made = records.flow_run()
    for position in ("!", "AAAA", "x" * 50_000, "lYGBgYGB"):
        with pytest.raises(FilterError):
            connect.call(FOLLOW_LOGS, FollowLogs(flow_run_id=made.id, position=position))


# --- variables and blocks --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("records")
def test_variables(client: SyncPenstockClient) -> None:
    assert client.read_variable_by_name("missing") is None
    made = client.create_variable("batch_size", {"rows": [1, 2.5, None, "ü"]}, tags=["a"])
    assert client.read_variable_by_name("batch_size") == made
    with pytest.raises(NameTaken):
        client.create_variable("batch_size", 1)
    assert client.create_variable("batch_size", 1, overwrite=True).tags == ()
    assert client.update_variable("batch_size", tags=["b"]).value == 1
    assert client.update_variable("batch_size", None).value is None
    client.create_variable("a", 0)
    assert [each.name for each in client.read_variables()] == ["a", "batch_size"]
    assert client.count_variables() == 2
    client.delete_variable_by_name("a")
    with pytest.raises(ObjectNotFound):
        client.delete_variable_by_name("a")
    with pytest.raises(ObjectNotFound, match="Did you mean 'batch_size'"):
        client.update_variable("batch_sizes", 1)


@pytest.mark.usefixtures("records")
def test_limits_artifacts_and_events(client: SyncPenstockClient) -> None:
    client.create_global_concurrency_limit("s3://x", 2)
    assert client.upsert_global_concurrency_limit_by_name("s3://x", 3).limit == 3
    assert client.upsert_global_concurrency_limit_by_name("api", 1, slot_decay_per_second=2.0).limit == 1
    assert client.update_global_concurrency_limit("api", active=False).slot_decay_per_second == 2.0
    assert [each.name for each in client.read_global_concurrency_limits()] == ["api", "s3://x"]
    assert client.reset_global_concurrency_limit("s3://x").active_slots == 0
    client.delete_global_concurrency_limit_by_name("s3://x")
    with pytest.raises(ObjectNotFound):
        client.read_global_concurrency_limit_by_name("s3://x")

    first = client.create_artifact("markdown", "# 1", key="report")
    second = client.create_artifact("markdown", "# 2", key="report", description="newer")
    assert client.read_latest_artifact("report") == second
    assert client.read_artifacts() == [second, first]
    assert list(client.iter_artifacts(latest=True)) == [second]
    assert client.update_artifact(first.id, "# one").data == "# one"
    client.delete_artifact(str(second.id))
    assert client.read_latest_artifact("report").id == client.read_artifact(first.id).id == first.id

    assert (client.read_events(), client.count_events()) == ([], 0)


def test_blocks_and_their_secrets(client: SyncPenstockClient, home: Path) -> None:
    secrets = [ClearSecret(("password",), "open sesame"), ClearSecret(("keys", 0), None, b"\x00\xffsesame")]
    made = client.create_block_document("db", "database", {"host": "h", "password": None, "keys": [None]}, secrets)
    assert made.data == {"host": "h", "password": "********", "keys": ["********"]}
    assert client.read_block_document(made.id) == made
    assert made.opened is None
    opened = client.read_block_document_by_name("db", "database", include_secrets=True)
    assert opened.fields() == {"host": "h", "password": "open sesame", "keys": [b"\x00\xffsesame"]}
    assert client.read_block_documents("database") == [made]
    assert client.count_block_documents() == {"database": 1}
    with pytest.raises(NameTaken):
        client.create_block_document("db", "database", {})
    with pytest.raises(UnstorableValue, match="no null in the fields"):
        client.create_block_document("other", "database", {"a": 1}, [ClearSecret(("a",), "x")])
    assert client.update_block_document("db", "database", {"host": "i"}).data == {"host": "i"}
    client.delete_block_document_by_name("db", "database")
    with pytest.raises(BlockNotFound):
        client.read_block_document_by_name("db", "database")
    stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"sesame" not in stored


# --- what Prefect's users type ---------------------------------------------------------------------------------------


def test_a_run_is_renamed_by_a_method_of_its_own(client: SyncPenstockClient, records: Records) -> None:
    run = records.flow_run("Completed")
    assert client.set_flow_run_name(run.id, "another").name == "another"
    assert client.read_flow_run(run.id).name == "another"


def test_of_each_key_the_latest_artifact_is_read(client: SyncPenstockClient) -> None:
    for text in ("old", "new"):
        client.create_artifact("markdown", text, key="renamed-report")
    assert [each.data for each in client.read_latest_artifacts() if each.key == "renamed-report"] == ["new"]


def test_the_import_of_the_field_is_there_and_a_with_that_must_be_awaited_says_so() -> None:
    from penstock.client import orchestration

    with pytest.raises(RuntimeError, match=r"async with get_client\(\)"), orchestration.get_client():
        pass


# --- ways to the record ----------------------------------------------------------------------------------------------


def test_a_client_of_another_server_than_the_settings(module_server: ServerProcess, penstock_home: Path) -> None:
    with get_client(sync_client=True, api_url=module_server.url) as client:
        assert client.hello() == "ok"
        assert client.api_version()
    assert not (penstock_home / "penstock.db").exists()


def test_a_server_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.transport.FIRST_PAUSE", 60.0)  # no second try within the patience
    client = get_client(True, api_url=f"http://127.0.0.1:{free_port()}")
    assert isinstance(client.api_healthcheck(), ServerUnavailableError)
    with pytest.raises(ConfigurationError, match="is not the URL of a server"):
        get_client(api_url="nowhere")


@pytest.mark.usefixtures("penstock_home")
def test_what_this_process_has_reported_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_JOURNAL_INTERVAL_SECONDS", "30")  # nothing is written unless somebody waits for it
    refresh()

    @task
    def work(number: int) -> int:
        return number

    @flow
    def reports() -> int:
        for number in range(3):
            work(number)
        with get_client(sync_client=True) as client:
            return client.count_task_runs()

    assert reports() == 3


# --- deployments -----------------------------------------------------------------------------------------------------


def test_deployments_are_read_run_paused_and_deleted(records: Records) -> None:
    with get_client(sync_client=True) as client:
        client.create_work_pool("local")
        made = connect.call(
            APPLY_DEPLOYMENT, ApplyDeployment(flow_name="etl", name="nightly", work_pool="local", entrypoint="f.py:etl")
        ).deployment
        assert client.read_deployment(made.id) == client.read_deployment_by_name("etl/nightly") == made
        assert [each.id for each in client.read_deployments(flow_name="etl")] == [made.id]
        assert client.read_deployments(work_pool_name="other") == []
        assert client.pause_deployment(made.id).paused
        assert not client.resume_deployment(made.id).paused
        run = client.create_flow_run_from_deployment(made.id, parameters={"a": 1}, tags=["x"], idempotency_key="k")
        assert client.create_flow_run_from_deployment(made.id, idempotency_key="k").id == run.id
        assert (run.deployment_id, run.tags) == (made.id, ("x",))
        schedule = client.create_deployment_schedule(made.id, CronSchedule("0 6 * * *"), slug="six")
        now = datetime.now(UTC)
        backfill = client.create_backfill(made.id, now - timedelta(days=3), now, slug="six")
        assert (client.read_backfill(backfill.id).total, len(client.read_backfills(deployment_id=made.id))) == (3, 1)
        assert client.cancel_backfill(backfill.id).status == "cancelled"
        client.delete_deployment_schedule(made.id, schedule.id)
        client.delete_deployment(made.id)
        with pytest.raises(ObjectNotFound):
            client.read_deployment(made.id)


def test_work_pools_are_made_read_paused_and_deleted(records: Records) -> None:
    with get_client(sync_client=True) as client:
        client.create_work_pool("mine", concurrency_limit=3)
        assert client.create_work_pool("mine", description="mine", overwrite=True).description == "mine"
        assert "mine" in [each.name for each in client.read_work_pools()]
        assert client.pause_work_pool("mine").is_paused
        assert not client.resume_work_pool("mine").is_paused
        assert [each.name for each in client.read_work_queues("mine")] == ["default"]
        assert client.read_workers_for_work_pool("mine", offline=True) == []
        client.delete_work_pool("mine")
        with pytest.raises(ObjectNotFound):
            client.read_work_pool("mine")
