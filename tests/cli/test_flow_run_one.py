"""One flow run: found by what people type, shown whole, deleted only when it has ended."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from penstock.domain.runs import Entrypoint, FlowRun, Holder, ResultRef
from penstock.store import flow_runs, logs

from .conftest import Run
from .records import Records

FIRST = UUID("11111111-2222-7333-8444-555555aaaaaa")
SECOND = UUID("11111111-9999-7333-8444-555555bbbbbb")


def found(run: Run, text: str) -> str:
    result = run("flow-run", "inspect", text, "-o", "json")
    assert result.exit_code == 0, result.output
    id: str = json.loads(result.stdout)["id"]
    return id


def refused(run: Run, *arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    return result.stderr


# --- what people type ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [str(FIRST), FIRST.hex, str(FIRST).upper(), "11111111-2222", "11111111-222", "111111112", "aaaaaa",
     "5555aaaaaa", "aaaaa", "aaaa", "one"],
)  # fmt: skip
def test_a_run_is_found_by_any_unique_part_of_its_id_or_by_its_name(run: Run, records: Records, text: str) -> None:
    records.flow_run(id=FIRST, name="one")
    records.flow_run(id=SECOND, name="two")
    assert found(run, text) == str(FIRST)


@pytest.mark.parametrize(
    "text", ["1111", "11111111", "7333", "aaa", "three", "on", "One", "1111111122227333844455555500"]
)
def test_what_is_no_end_of_an_id_and_no_name_is_not_found(run: Run, records: Records, text: str) -> None:
    records.flow_run(id=SECOND, name="one")
    if text.startswith("1111") and len(text) < 10:
        assert found(run, text) == str(SECOND)
    else:
        assert refused(run, "flow-run", "inspect", text) == f"Error: Flow run '{text}' not found!\n"


def test_a_part_of_several_ids_lists_them(run: Run, records: Records) -> None:
    records.flow_run(id=FIRST, name="one", ago=timedelta(days=1))
    records.flow_run(id=SECOND, name="two")
    first, *lines = refused(run, "flow-run", "inspect", "1111-1111").splitlines()
    assert first == "Error: Flow run '1111-1111' could be any of several; use more of the id:"
    assert [line.split()[0] for line in lines] == [str(SECOND), str(FIRST)]


def test_a_name_of_several_runs_lists_five_of_them(run: Run, records: Records) -> None:
    made = [records.flow_run(name="same", ago=timedelta(minutes=9 - number)) for number in range(7)]
    lines = refused(run, "flow-run", "logs", "same").splitlines()[1:]
    assert [line.split()[0] for line in lines[:-1]] == [str(each.id) for each in reversed(made[2:])]
    assert lines[-1].strip() == "and more"
    assert made[6].created.astimezone().strftime("%Y-%m-%d %H:%M:%S") in lines[0]


def test_a_name_that_is_also_part_of_an_id_is_not_guessed(run: Run, records: Records) -> None:
    records.flow_run(id=FIRST, name="one")
    records.flow_run(name="aaaaaa")
    assert "could be any of several" in refused(run, "flow-run", "delete", "aaaaaa")


def test_no_text_is_not_an_id(run: Run) -> None:
    assert "named by its id" in refused(run, "flow-run", "inspect", " ")
    assert "is not the id of a task run" in refused(run, "task-run", "inspect", "load-0")
    assert refused(run, "task-run", "inspect", "abcd") == "Error: Task run 'abcd' not found!\n"


# --- everything known ------------------------------------------------------------------------------------------------


def rich_run(records: Records) -> FlowRun:
    parent = records.flow_run(name="mother", flow="nightly")
    made = records.flow_run(
        "Pending", "Running", "AwaitingRetry", "Retrying", "Failed",
        flow="load", name="child", message="first line\nsecond line", flow_run_id=parent.id, flow_version="1.2",
        tags=("a", "b"), parameters={"day": "'monday'", "n": "3"}, run_count=2, epoch=2,
        holder=Holder("box", "boot", 77, "1"), entrypoint=Entrypoint("/srv/etl.py", "load", ("etl.py",), "/srv"),
        result=ResultRef("pickle", None, "key-1", "/results", 2048), labels={"team": "data"}, lines_lost=3,
    )  # fmt: skip
    records.mapped(made, 5, failed=2)
    return made


def test_inspect_shows_everything(run: Run, records: Records) -> None:
    made = rich_run(records)
    text = run("flow-run", "inspect", "child").stdout
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    shown = {name.strip(): value.strip() for name, value in fields.items()}
    assert shown["Flow run"] == "child"
    assert shown["ID"] == str(made.id)
    assert shown["Flow"] == "load"
    assert shown["Parent"] == f"mother (nightly) {made.flow_run_id}"
    assert shown["State"] == "✗ Failed"
    assert shown["Attempts"] == "2"
    assert shown["Entrypoint"] == "/srv/etl.py:load"
    assert shown["Process"] == "box:77 (epoch 2)"
    assert shown["Task runs"] == "3 ✓ Completed, 2 ✗ Failed"
    assert shown["Result"] == "2,048 bytes (pickle) in /results under 'key-1'"
    assert (shown["Tags"], shown["Labels"]) == ("a, b", "team=data")
    assert (shown["day"], shown["n"]) == ("'monday'", "3")
    assert shown["Lines lost"].startswith("3 ")
    assert text.endswith("\nMessage:\nfirst line\nsecond line\n")
    path = text[text.index("States:\n") :].splitlines()[1:6]
    assert [line.split()[3] for line in path] == ["Pending", "Running", "AwaitingRetry", "Retrying", "Failed"]
    assert made.state.timestamp.astimezone().strftime("%Y-%m-%d %H:%M:%S") in path[-1]


def test_inspect_in_json_is_the_whole_run(run: Run, records: Records) -> None:
    made = rich_run(records)
    document = json.loads(run("flow-run", "inspect", str(made.id), "-o", "json").stdout)
    assert document["task_run_counts"] == {"Completed": 3, "Failed": 2}
    assert document["holder"] == {"host": "box", "boot": "boot", "pid": 77, "started": "1", "namespace": ""}
    assert document["entrypoint"]["argv"] == ["etl.py"]
    assert document["result"]["key"] == "key-1"
    assert document["state"]["message"] == "first line\nsecond line"
    assert len(document["states"]) == 5


def test_a_small_result_is_shown_and_no_pickle_is_ever_opened(run: Run, records: Records) -> None:
    records.flow_run(name="j", result=ResultRef("json", b'"hi"', size=4))
    records.flow_run(name="p", result=ResultRef("pickle", b"cos\nsystem\n(S'touch pwned'\ntR.", size=30))
    assert [line.split() for line in run("flow-run", "inspect", "j").stdout.splitlines()].count(
        ["Result:", '"hi"']
    ) == 1
    assert "30 bytes (pickle) in the record" in run("flow-run", "inspect", "p").stdout


def test_how_a_run_was_stopped_is_shown(run: Run, records: Records) -> None:
    from penstock.domain.states import make

    state = make("Cancelled", datetime.now(UTC), message="asked", details={"stopped": "gone", "confirmed": True})
    records.flow_run(name="gone", states=(state,))
    text = run("flow-run", "inspect", "gone").stdout
    assert "⊘ Cancelled" in text
    rows = [line.split(maxsplit=1) for line in text.splitlines() if line.startswith("Stopped:")]
    assert rows == [["Stopped:", "gone (confirmed)"]]


# --- deleting --------------------------------------------------------------------------------------------------------


def count(records: Records, table: str) -> int:
    with records.store.read() as tx:
        row = tx.row(f"SELECT count(*) FROM {table}")
    assert row is not None
    return int(row[0])


def test_deleting_takes_all_that_belongs_to_a_run_and_nothing_else(run: Run, records: Records) -> None:
    kept = records.flow_run(name="kept")
    made = records.flow_run(name="made")
    child = records.flow_run(name="child", flow_run_id=made.id)
    grandchild = records.flow_run(name="grandchild", flow_run_id=child.id)
    for each in (kept, made, child, grandchild):
        records.mapped(each, 3)
        records.lines(each, "a", "b")
    result = run("flow-run", "delete", "made")
    assert result.stdout == "Deleted 1 flow run and 2 subflow runs.\n"
    assert [count(records, table) for table in ("flow_run", "task_run", "log")] == [1, 3, 2]
    assert refused(run, "flow-run", "delete", "made") == "Error: Flow run 'made' not found!\n"


def test_a_large_run_is_deleted_in_pieces(run: Run, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.services.reading.DELETED_AT_ONCE", 7)
    made = records.flow_run()
    records.mapped(made, 21)
    records.lines(made, *"abcdefghijkl")
    assert json.loads(run("flow-run", "delete", str(made.id), "-o", "json").stdout) == {
        "flow_runs": 1,
        "subflow_runs": 0,
    }
    assert [count(records, table) for table in ("flow_run", "task_run", "log")] == [0, 0, 0]


def test_a_run_that_has_not_ended_is_deleted_only_by_force(run: Run, records: Records) -> None:
    ended = records.flow_run(name="ended")
    records.flow_run("Pending", "Running", name="busy", flow_run_id=ended.id)
    records.flow_run("Failed", name="other")
    for names in (["busy"], ["ended"], ["other", "busy"]):
        message = refused(run, "flow-run", "delete", *names)
        assert "'busy'" in message
        assert "Running" in message
        assert "--force" in message
    assert count(records, "flow_run") == 3
    assert run("flow-run", "delete", "ended", "other", "other", "--force").stdout == (
        "Deleted 2 flow runs and 1 subflow run.\n"
    )
    assert count(records, "flow_run") == 0


def test_one_unknown_id_among_many_deletes_nothing(run: Run, records: Records) -> None:
    records.flow_run(name="here")
    assert "'nowhere' not found" in refused(run, "flow-run", "delete", "here", "nowhere")
    assert count(records, "flow_run") == 1


def test_the_lines_of_a_run_deleted_by_force_do_not_stop_the_command(run: Run, records: Records) -> None:
    """What a live run reports afterwards belongs to nobody; reading goes on without it."""
    made = records.flow_run("Running", name="live")
    run("flow-run", "delete", "live", "--force")
    records.lines(made, "late")
    with records.store.read() as tx:
        assert flow_runs.get(tx, made.id) is None
        assert [line.message for line in logs.read(tx, made.id)] == ["late"]
    assert run("flow-run", "ls").exit_code == 0
