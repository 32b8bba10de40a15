"""`flow-run cancel`: what is asked is recorded, what became of it is said, and the exit code can be relied on."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from penstock.cli import cancelling
from penstock.connect import asker
from penstock.domain.runs import FlowRun, Holder
from penstock.domain.states import make
from penstock.domain.stops import Signal
from penstock.engine import identity
from penstock.store import flow_runs, signals
from penstock.watchdog import enforcement

from .conftest import Run
from .records import Records, penstock, program, wait_for

ELSEWHERE = Holder("elsewhere", "boot", 77, "1")
UNKNOWN = "11111111-2222-7333-8444-555555aaaaaa"


@pytest.fixture
def living() -> Iterator[Holder]:
    """A process of this host that lives and hears nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    mine = identity.me()
    started = wait_for(lambda: identity.started(process.pid))
    yield Holder(mine.host, mine.boot, process.pid, started, mine.namespace)
    process.kill()
    process.wait()


@pytest.fixture
def enforced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, UUID]]:
    """For which runs a process was started that will end them."""
    calls: list[tuple[Path, UUID]] = []
    monkeypatch.setattr(enforcement, "launch_enforcer", lambda path, id, grace: calls.append((path, id)))
    return calls


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.flows.cancelling.ANSWER_SECONDS", 0.1)


def now_of(records: Records, run: FlowRun) -> FlowRun:
    with records.store.read() as tx:
        found = flow_runs.get(tx, run.id)
    assert found is not None
    return found


def request_for(records: Records, run: FlowRun) -> Signal | None:
    with records.store.read() as tx:
        return signals.get(tx, run.id)


@contextmanager
def ending(records: Records, run: FlowRun, name: str, **details: Any) -> Iterator[None]:
    """Meanwhile the run's process, when it is asked to, says that it ended so."""

    def end() -> None:
        wait_for(lambda: now_of(records, run).state.is_cancelling())
        time.sleep(0.05)
        fresh = now_of(records, run)
        fresh.enter(make(name, datetime.now(UTC), details=details or None))
        with records.store.write() as tx:
            flow_runs.put(tx, fresh)

    thread = threading.Thread(target=end)
    thread.start()
    yield
    thread.join()


# --- what becomes of a request ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["id", "part", "name"])
def test_a_living_run_is_scheduled_for_cancellation(
    run: Run, records: Records, living: Holder, enforced: Any, text: str
) -> None:
    made = records.flow_run("Pending", "Running", name="busy-bee", holder=living)
    typed = {"id": str(made.id), "part": made.id.hex[-12:], "name": "busy-bee"}[text]
    result = run("flow-run", "cancel", typed, "--grace", "2.5")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"Flow run '{made.id}' was successfully scheduled for cancellation.\n"
    assert now_of(records, made).state_name == "Cancelling"
    asked = request_for(records, made)
    assert asked is not None
    assert (asked.who, asked.grace) == (asker("CLI"), 2.5)
    assert asked.who.endswith(f"@{living.host} via CLI")


def test_a_run_that_nobody_executes_is_cancelled_at_once(run: Run, records: Records, enforced: Any) -> None:
    made = records.flow_run("Scheduled")
    result = run("flow-run", "cancel", str(made.id), "--wait")
    assert result.exit_code == 0
    assert result.stdout == (
        f"Flow run '{made.id}' was cancelled.\nFlow run '{made.id}' is Cancelled: no code was at work\n"
    )
    assert now_of(records, made).state_name == "Cancelled"
    assert enforced == []


def test_what_is_not_there_is_not_found(run: Run) -> None:
    result = run("flow-run", "cancel", UNKNOWN)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: Flow run '{UNKNOWN}' not found!\n"


@pytest.mark.parametrize("state", ["Completed", "Failed", "Cancelled", "Crashed"])
def test_what_has_ended_cannot_be_cancelled(run: Run, records: Records, state: str) -> None:
    made = records.flow_run("Running", state)
    result = run("flow-run", "cancel", str(made.id), "--wait")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: Flow run '{made.id}' was unable to be cancelled. Reason: it already ended in state '{state}'.\n"
    )


def test_one_that_cannot_be_cancelled_does_not_keep_the_others_from_it(
    run: Run, records: Records, living: Holder, enforced: Any
) -> None:
    records.flow_run(name="ended")
    for _ in range(2):
        records.flow_run("Running", name="twin", holder=living)
    made = records.flow_run("Running", name="busy", holder=living)
    result = run("flow-run", "cancel", "nobody", "ended", "twin", " ", "busy", str(made.id))
    assert result.exit_code == 1
    assert result.stdout == f"Flow run '{made.id}' was successfully scheduled for cancellation.\n"
    assert [line for line in result.stderr.splitlines() if line.startswith("Error")] == [
        "Error: Flow run 'nobody' not found!",
        f"Error: Flow run '{records_id(records, 'ended')}' was unable to be cancelled. Reason: it already ended in "
        "state 'Completed'.",
        "Error: Flow run 'twin' could be any of several; use more of the id:",
        "Error: A flow run is named by its id, by the beginning or end of it, or by its name.",
    ]
    assert now_of(records, made).state_name == "Cancelling"


def records_id(records: Records, name: str) -> UUID:
    with records.store.read() as tx:
        (found,) = flow_runs.select(tx, "name = ?", [name], "id", 2)
    return found.id


def test_asked_again_a_run_gets_the_new_grace(run: Run, records: Records, living: Holder, enforced: Any) -> None:
    made = records.flow_run("Running", holder=living)
    run("flow-run", "cancel", str(made.id))
    first = now_of(records, made)
    result = run("flow-run", "cancel", str(made.id), "--grace", "0")
    assert result.exit_code == 0
    assert result.stdout == f"Flow run '{made.id}' is being cancelled already. It has 0 s from now on.\n"
    asked = request_for(records, made)
    assert asked is not None
    assert asked.grace == 0
    assert now_of(records, made).version == first.version


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon", "", "1e300"])
@pytest.mark.parametrize("option", ["--grace", "--timeout"])
def test_what_is_no_number_of_seconds_is_wrong_usage(run: Run, records: Records, option: str, value: str) -> None:
    made = records.flow_run("Scheduled")
    result = run("flow-run", "cancel", str(made.id), "--wait", option, value)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Invalid value for '{option}': {value!r} is not a number of seconds, from 0 to" in result.stderr
    assert now_of(records, made).state_name == "Scheduled"


@pytest.mark.parametrize("arguments", [[], [UNKNOWN, "--all"], [UNKNOWN, "--tag", "a"], [UNKNOWN, "--timeout", "1"]])
def test_it_must_be_clear_what_is_meant(run: Run, arguments: list[str]) -> None:
    result = run("flow-run", "cancel", *arguments)
    assert result.exit_code == 2
    assert "--all" in result.stderr or "--wait" in result.stderr


# --- many ------------------------------------------------------------------------------------------------------------


def test_all_are_the_runs_that_have_not_ended(run: Run, records: Records) -> None:
    ended = [records.flow_run("Running", state) for state in ("Completed", "Failed", "Cancelled", "Crashed")]
    open_ones = [records.flow_run(state) for state in ("Scheduled", "Pending", "Paused", "AwaitingRetry")]
    result = run("flow-run", "cancel", "--all")
    assert result.exit_code == 0, result.output
    assert result.stdout == "".join(f"Flow run '{made.id}' was cancelled.\n" for made in open_ones)
    assert [now_of(records, made).version for made in ended] == [2, 2, 2, 2]
    assert {now_of(records, made).state_name for made in open_ones} == {"Cancelled"}
    again = run("flow-run", "cancel", "--all")
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "There are no flow runs to cancel.\n")


@pytest.mark.parametrize(
    "options",
    [["--flow-name", "nightly"], ["--state", "paused"], ["--state-type", "paused"], ["--tag", "a", "--tag", "b"],
     ["--after", "1h"], ["--name", "meant"], ["--all", "--flow-name", "nightly"]],
)  # fmt: skip
def test_options_choose_runs_as_they_do_for_lists(run: Run, records: Records, options: list[str]) -> None:
    records.flow_run("Scheduled", tags=("a",), ago=timedelta(days=1))
    made = records.flow_run("Paused", flow="nightly", name="is-meant", tags=("a", "b"))
    records.flow_run("Paused", "Completed", flow="nightly", name="is-meant", tags=("a", "b"))
    result = run("flow-run", "cancel", *options)
    assert result.stdout == f"Flow run '{made.id}' was cancelled.\n"


def test_runs_below_a_chosen_one_end_with_it(run: Run, records: Records) -> None:
    top = records.flow_run("Scheduled", flow="a")
    between = records.flow_run("Scheduled", flow="b", flow_run_id=top.id)
    records.flow_run("Scheduled", flow="a", flow_run_id=between.id)
    other = records.flow_run("Scheduled", flow="a", flow_run_id=records.flow_run("Scheduled", flow="b").id)
    result = run("flow-run", "cancel", "--flow-name", "a", "--dry-run", "-o", "json")
    assert [each["id"] for each in json.loads(result.stdout)] == [str(top.id), str(other.id)]


@pytest.mark.parametrize("option", [["--state", "Completed"], ["--state-type", "FAILED"]])
def test_runs_that_have_ended_are_not_to_be_chosen(run: Run, records: Records, option: list[str]) -> None:
    made = records.flow_run("Scheduled")
    result = run("flow-run", "cancel", *option)
    assert result.exit_code == 2
    assert "cannot be cancelled" in result.stderr
    assert now_of(records, made).state_name == "Scheduled"


def test_a_chosen_run_that_ends_before_it_is_asked_is_no_error(
    run: Run, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = records.flow_run("Running", holder=ELSEWHERE)

    def too_late(filter: Any) -> list[FlowRun]:
        records.flow_run("Running", "Completed", id=made.id)
        return [made]

    monkeypatch.setattr(cancelling, "unfinished", too_late)
    result = run("flow-run", "cancel", "--all")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"Flow run '{made.id}' has ended meanwhile: Completed.\n"


def test_a_dry_run_shows_and_changes_nothing(run: Run, records: Records) -> None:
    made = records.flow_run("Scheduled", name="meant")
    for arguments in (["--all"], ["meant"]):
        result = run("flow-run", "cancel", *arguments, "--dry-run")
        assert result.exit_code == 0
        assert [line.split()[0] for line in result.stdout.splitlines()] == ["ID", str(made.id)]
        assert "◷ Scheduled" in result.stdout
    assert run("flow-run", "cancel", "nobody", "--dry-run").exit_code == 1
    assert now_of(records, made).version == 1


@pytest.mark.parametrize(("answer", "state"), [("y", "Cancelled"), ("n", "Scheduled"), (None, "Cancelled")])
def test_a_person_is_asked_before_many_are_cancelled(
    records: Records, monkeypatch: pytest.MonkeyPatch, answer: str | None, state: str
) -> None:
    from click.testing import CliRunner

    from penstock.cli.main import root

    monkeypatch.setattr(cancelling, "is_terminal", lambda stream: True)
    made = records.flow_run("Scheduled")
    options = ["--yes"] if answer is None else []
    result = CliRunner().invoke(root, ["flow-run", "cancel", "--all", "-o", "json", *options], input=answer)
    assert ("Cancel 1 flow run? [y/N]" in result.stderr) is (answer is not None)
    assert result.exit_code == (1 if answer == "n" else 0)
    assert result.stdout == "" if answer == "n" else json.loads(result.stdout)
    assert now_of(records, made).state_name == state


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_waiting_shows_the_end_with_its_proof(run: Run, records: Records, living: Holder, enforced: Any) -> None:
    made = records.flow_run("Running", holder=living)
    proof = {"stopped": "raised", "confirmed": True, "seconds_to_stop": 0.0213, "where": "etl.py:42 in fetch"}
    with ending(records, made, "Cancelled", **proof):
        result = run("flow-run", "cancel", str(made.id), "--wait")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == [
        f"Flow run '{made.id}' is Cancelled: stopped after 0.021 s (raised), was at etl.py:42 in fetch"
    ]


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        ({"stopped": "killed", "confirmed": True, "seconds_to_stop": 5.04}, "stopped after 5 s (killed)"),
        ({"stopped": "gone", "confirmed": True}, "its process is gone"),
        (
            {"stopped": "abandoned", "confirmed": False, "seconds_to_stop": 120.4, "where": "a.py:1 in f"},
            "NOT confirmed: its code may still run (abandoned after 120 s), was at a.py:1 in f",
        ),
        ({"stopped": "gone", "confirmed": False}, "NOT confirmed: its code may still run (gone)"),
    ],
)
def test_what_is_not_confirmed_is_not_said_to_have_stopped(
    run: Run, records: Records, living: Holder, enforced: Any, proof: dict[str, Any], said: str
) -> None:
    made = records.flow_run("Running", holder=living)
    with ending(records, made, "Cancelled", **proof):
        result = run("flow-run", "cancel", str(made.id), "--wait")
    assert result.stdout.splitlines()[1] == f"Flow run '{made.id}' is Cancelled: {said}"


def test_waiting_ends_with_1_when_the_run_ended_otherwise(
    run: Run, records: Records, living: Holder, enforced: Any
) -> None:
    made = records.flow_run("Running", holder=living)
    with ending(records, made, "Completed"):
        result = run("flow-run", "cancel", str(made.id), "--wait")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1] == f"Flow run '{made.id}' is Completed"


def test_the_timeout_is_of_the_waiting_only(run: Run, records: Records, living: Holder, enforced: Any) -> None:
    made = records.flow_run("Running", holder=living)
    began = time.monotonic()
    result = run("flow-run", "cancel", str(made.id), "--wait", "--timeout", "0.3")
    assert 0.3 <= time.monotonic() - began < 5
    assert result.exit_code == 1
    assert f"Error: Flow run '{made.id}' did not end within" in result.stderr
    assert "it is Cancelling. The request stands." in result.stderr
    assert now_of(records, made).state_name == "Cancelling"
    assert request_for(records, made) is not None


def test_nobody_waits_for_the_dead(run: Run, records: Records, enforced: Any) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.8)"])
    mine = identity.me()
    started = wait_for(lambda: identity.started(process.pid))
    made = records.flow_run("Running", holder=Holder(mine.host, mine.boot, process.pid, started, mine.namespace))
    threading.Thread(target=process.wait).start()
    result = run("flow-run", "cancel", str(made.id), "--wait", "--timeout", "20")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1] == f"Flow run '{made.id}' is Cancelled: its process is gone"


# --- json ------------------------------------------------------------------------------------------------------------


def test_json_has_each_request_with_what_became_of_it(
    run: Run, records: Records, living: Holder, enforced: Any
) -> None:
    records.flow_run(name="ended")
    records.flow_run("Running", name="busy", holder=living)
    records.flow_run("Cancelling", name="going", holder=living)
    records.flow_run("Scheduled", name="later")
    result = run("flow-run", "cancel", "ended", "busy", "going", "later", "nobody", "-o", "json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert [(each["outcome"], each["run"] and each["run"]["state_name"]) for each in document] == [
        ("transition-refused", "Completed"),
        ("scheduled", "Cancelling"),
        ("already-cancelling", "Cancelling"),
        ("cancelled", "Cancelled"),
        ("not-found", None),
    ]
    assert document[1]["id"] == document[1]["run"]["id"]
    assert document[4]["message"] == "Flow run 'nobody' not found!"


def test_json_of_a_run_that_was_awaited_is_of_its_end(
    run: Run, records: Records, living: Holder, enforced: Any
) -> None:
    made = records.flow_run("Running", holder=living)
    with ending(records, made, "Cancelled", stopped="raised", confirmed=True):
        result = run("flow-run", "cancel", str(made.id), "--wait", "-o", "json")
    (document,) = json.loads(result.stdout)
    assert document["run"]["state"]["details"]["stopped"] == "raised"


# --- processes that do not answer ------------------------------------------------------------------------------------


def test_a_process_that_does_not_answer_is_ended_from_outside(
    run: Run, records: Records, living: Holder, enforced: list[tuple[Path, UUID]]
) -> None:
    made = records.flow_run("Running", holder=living)
    run("flow-run", "cancel", str(made.id))
    assert enforced == [(records.store.path, made.id)]


def test_a_process_that_answers_is_left_alone(
    run: Run, records: Records, living: Holder, enforced: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.flows.cancelling.ANSWER_SECONDS", 60.0)
    made = records.flow_run("Running", holder=living)
    with ending(records, made, "Cancelled"):
        began = time.monotonic()
        result = run("flow-run", "cancel", str(made.id))
        assert time.monotonic() - began < 30
    assert result.exit_code == 0
    assert enforced == []


def test_a_process_out_of_reach_must_act_itself(run: Run, records: Records, enforced: list[Any]) -> None:
    made = records.flow_run("Running", holder=ELSEWHERE)
    with records.store.write() as tx:
        from penstock.store import holders

        holders.put(tx, ELSEWHERE, datetime.now(UTC) + timedelta(minutes=5), False)
    result = run("flow-run", "cancel", str(made.id))
    assert result.exit_code == 0
    assert result.stdout == f"Flow run '{made.id}' was successfully scheduled for cancellation.\n"
    assert "runs on host elsewhere" in result.stderr
    assert enforced == []


# --- what is shown of a run that was stopped -------------------------------------------------------------------------


def stopped_run(records: Records, name: str = "Cancelled", **details: Any) -> FlowRun:
    state = make(name, datetime.now(UTC), message="Cancelled by ann@laptop.", details=details)
    return records.flow_run(name="stopped", states=(make("Running", datetime.now(UTC)), state))


def rows(run: Run, *arguments: str) -> dict[str, str]:
    lines = run(*arguments).stdout.splitlines()
    return {name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}


def test_inspect_shows_how_a_run_was_stopped(run: Run, records: Records) -> None:
    stopped_run(
        records, reason="cancel", who="ann@laptop via CLI", stopped="raised", confirmed=True, seconds_to_stop=0.012,
        where="/srv/etl.py:42 in fetch", stack=["/srv/etl.py:80 in main", "/srv/etl.py:42 in fetch"],
        grace=5.0, odd=[1],
    )  # fmt: skip
    shown = rows(run, "flow-run", "inspect", "stopped")
    assert shown["Stopped"] == "raised after 0.012 s (confirmed)"
    assert shown["Asked by"] == "ann@laptop via CLI"
    assert shown["Was at"] == "/srv/etl.py:42 in fetch"
    assert shown["Grace"] == "5 s"
    assert shown["odd"] == "[1]"
    assert not {"stopped", "confirmed", "who", "where", "stack", "reason"} & set(shown)
    text = run("flow-run", "inspect", "stopped").stdout
    assert text.endswith("\nStack, the innermost line last:\n  /srv/etl.py:80 in main\n  /srv/etl.py:42 in fetch\n")


def test_inspect_shows_whose_time_limit_it_was(run: Run, records: Records) -> None:
    stopped_run(records, "TimedOut", reason="timeout", who="timeout_seconds=1 of flow run 'x'", stopped="raised")
    assert rows(run, "flow-run", "inspect", "stopped")["Limit"] == "timeout_seconds=1 of flow run 'x'"


def test_what_is_not_confirmed_stands_out(run: Run, records: Records) -> None:
    made = stopped_run(records, reason="cancel", stopped="abandoned", confirmed=False, seconds_to_stop=5.0)
    records.flow_run("Running", "Cancelled", name="well")
    assert rows(run, "flow-run", "inspect", "stopped")["Stopped"] == (
        "abandoned after 5 s - NOT confirmed: its code may still run"
    )
    listed = run("flow-run", "ls").stdout
    assert listed.count("⊘ Cancelled (unconfirmed)") == 1
    assert "stopped  (etl)  Cancelled (unconfirmed)" in run("flow-run", "graph", "stopped").stdout
    watched = run("flow-run", "watch", "stopped")
    assert "Cancelled (unconfirmed): Cancelled by ann@laptop." in watched.stdout
    assert watched.stdout.splitlines()[-1] == (
        f"Flow run '{made.id}' is Cancelled: NOT confirmed: its code may still run (abandoned after 5 s)"
    )


def test_details_of_another_shape_are_shown_as_they_are(run: Run, records: Records) -> None:
    stopped_run(records, stopped=3, who=["x"], where=None, stack="s", confirmed="no", grace=True, seconds_to_stop="1")
    shown = rows(run, "flow-run", "inspect", "stopped")
    assert (shown["stopped"], shown["who"], shown["stack"], shown["confirmed"]) == ("3", '["x"]', "s", "no")
    assert run("flow-run", "watch", "stopped").exit_code == 1


def test_details_cannot_drive_the_terminal(run: Run, records: Records) -> None:
    evil = "\x1b[2J"
    stopped_run(records, reason=evil, who=evil, stopped=evil, where=evil, stack=[evil, evil])
    assert evil not in run("flow-run", "inspect", "stopped").stdout
    assert evil not in run("flow-run", "watch", "stopped").stdout


# --- whole programs --------------------------------------------------------------------------------------------------

SLEEPING = """
import sys, time
from penstock import flow
@flow(flow_run_name="slow-goose")
def wait():
    time.sleep(60)
wait()
"""


def test_a_program_that_sleeps_is_stopped_where_it_sleeps(run: Run, folder: Path) -> None:
    with program(folder / "wait.py", SLEEPING) as flow:
        wait_for(lambda: "▶ Running" in run("flow-run", "inspect", "slow-goose").stdout)
        with penstock("flow-run", "cancel", "slow-goose", "--wait", "--timeout", "20") as command:
            out, err = command.communicate(timeout=30)
        assert command.returncode == 0, out + err
        assert "is Cancelled: stopped after 0" in out
        assert "(raised), was at " in out
        assert "wait.py:6 in wait" in out
        assert flow.wait(20) is not None
    shown = rows(run, "flow-run", "inspect", "slow-goose")
    assert shown["Stopped"].startswith("raised after 0")
    assert shown["Asked by"] == asker("CLI")


DEAF = """
import re
from penstock import flow
@flow(flow_run_name="deaf-goose")
def compute():
    re.match("(a+)+$", "a" * 60 + "b")
compute()
"""


def test_a_program_that_lets_nobody_else_work_is_killed_after_its_grace(run: Run, folder: Path) -> None:
    with program(folder / "compute.py", DEAF) as flow:
        wait_for(lambda: "▶ Running" in run("flow-run", "inspect", "deaf-goose").stdout)
        result = run("flow-run", "cancel", "deaf-goose", "--grace", "0.5", "--wait", "--timeout", "30")
        assert result.exit_code == 0, result.output
        assert "is Cancelled: stopped after " in result.stdout
        assert "(killed)" in result.stdout
        assert flow.wait(20) == -9
