"""`penstock deployment`, `work-pool`, `work-queue`, `worker ls`, `infrastructure ls`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from penstock import connect
from penstock.protocol import deployments as asked
from penstock.protocol.deployments import APPLY_DEPLOYMENT, ApplyDeployment
from penstock.store import launches

Run = Callable[..., Result]


@pytest.fixture
def deployed(run: Run) -> str:
    """A deployment in a work pool."""
    run("work-pool", "create", "local")
    schema = {"type": "object", "properties": {"count": {"type": "integer"}, "day": {"type": "string"}}}
    connect.call(
        APPLY_DEPLOYMENT,
        ApplyDeployment(
            flow_name="etl", name="nightly", work_pool="local", parameter_schema=schema, entrypoint="f.py:etl"
        ),
    )
    return "etl/nightly"


def test_what_is_deployed_is_listed_and_shown(run: Run, deployed: str) -> None:
    assert "etl/nightly" in run("deployment", "ls").stdout
    assert json.loads(run("deployments", "ls", "-o", "json").stdout)[0]["entrypoint"] == "f.py:etl"
    assert "Work pool:      local" in run("deployment", "inspect", deployed).stdout
    assert json.loads(run("deployment", "inspect", "nightly", "-o", "json").stdout)["work_pool"] == "local"


def test_where_there_is_nothing_it_is_said_how_to_begin(run: Run) -> None:
    assert "serve(" in run("deployment", "ls").stderr
    assert "penstock work-pool create" in run("work-pool", "ls").stderr
    assert "penstock worker start" in run("worker", "ls").stderr
    assert "Nothing is launched" in run("infrastructure", "ls").stderr


def test_a_run_is_made_with_parameters_and_it_is_said_that_nobody_takes_it(run: Run, deployed: str) -> None:
    done = run("deployment", "run", deployed, "-p", "count=3", "-p", "day=5th", "--tag", "now", "--flow-run-name", "me")
    assert done.exit_code == 0
    assert "Created flow run 'me' of deployment 'etl/nightly'." in done.stdout
    assert "Nothing is polling queue 'default' of work pool 'local'" in done.stderr
    (made,) = json.loads(run("flow-run", "ls", "-o", "json").stdout)
    assert (made["parameters"], made["tags"], made["state_name"]) == (
        {"count": "3", "day": "'5th'"}, ["now"], "Scheduled",
    )  # fmt: skip
    assert json.loads(run("deployment", "run", deployed, "--params", '{"count": 4}', "-o", "json").stdout)["name"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("etl/nightle",), "Did you mean 'etl/nightly'"),
        (("etl/nightly", "-p", "count=many"), "count: 'many' is not of type 'integer'"),
        (("etl/nightly", "-p", "count"), "'count' is not NAME=VALUE"),
        (("etl/nightly", "--params", "{"), "--params is no JSON"),
        (("etl/nightly", "--params", "[]"), "--params is one JSON object"),
        (("etl/nightly", "--in", "5", "--at", "2030-01-01"), "Say --start-in or --start-at"),
    ],
)
def test_a_run_that_cannot_be_made_is_refused(
    run: Run, deployed: str, arguments: tuple[str, ...], message: str
) -> None:
    done = run("deployment", "run", *arguments)
    assert done.exit_code != 0
    assert message in done.stderr
    assert run("flow-run", "ls").stdout == ""


def test_schedules_are_made_paused_previewed_and_deleted(run: Run, deployed: str) -> None:
    made = run(
        "deployment", "schedule", "create", deployed, "--cron", "0 6 * * *", "--slug", "six", "--overlap", "skip"
    )
    assert "of deployment 'etl/nightly': at 06:00 every day." in made.stdout
    assert "skip" in run("deployment", "schedule", "ls", deployed).stdout
    assert "at 06:00 every day" in run("deployment", "ls").stdout
    assert run("deployment", "schedule", "pause", deployed, "six").exit_code == 0
    assert "paused" in run("deployment", "schedule", "ls", deployed).stdout
    run("deployment", "schedule", "resume", deployed, "six")
    assert len(run("deployment", "schedule", "preview", deployed, "--limit", "2").stdout.splitlines()) == 3
    run("deployment", "schedule", "create", deployed, "--interval", "60", "--replace")
    (left,) = json.loads(run("deployment", "schedule", "ls", deployed, "-o", "json").stdout)
    assert left["schedule"]["interval"] == 60
    assert "Deleted 1 schedule" in run("deployment", "schedule", "clear", deployed).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cron", "61 * * * *"), "'61' is no minute of a cron schedule (0-59):"),
        (("--cron", "* * * * *", "--rrule", "FREQ=DAILY"), "is described by one of --cron, --rrule"),
        ((), "Say when: --cron, --interval, --rrule or --at"),
        (("--at", "2030-01-01", "--timezone", "Nowhere/Town"), "There is no time zone 'Nowhere/Town'"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(run: Run, deployed: str, options: tuple[str, ...], message: str) -> None:
    done = run("deployment", "schedule", "create", deployed, *options)
    assert done.exit_code != 0
    assert message in done.stderr
    assert "no schedules" in run("deployment", "schedule", "ls", deployed).stderr


def test_a_preview_needs_no_deployment(run: Run) -> None:
    done = run(
        "deployment", "schedule", "preview", "--cron", "0 6 * * 1", "--timezone", "Europe/Berlin", "--limit", "3"
    )
    assert len(done.stdout.splitlines()) == 4


def test_it_is_paused_resumed_and_deleted(run: Run, deployed: str) -> None:
    assert run("deployment", "pause", deployed).stdout == "Paused deployment 'etl/nightly'.\n"
    assert "Paused:         yes" in run("deployment", "inspect", deployed).stdout
    run("deployment", "resume", deployed)
    run("deployment", "run", deployed)
    assert run("deployment", "delete", deployed, "-y").exit_code == 0
    (left,) = json.loads(run("flow-run", "ls", "-o", "json").stdout)
    assert left["state_name"] == "Cancelled"
    assert run("deployment", "inspect", deployed).exit_code == 1


# --- pools -----------------------------------------------------------------------------------------------------------


def test_a_pool_is_made_changed_and_deleted(run: Run, folder: Path) -> None:
    (folder / "template.json").write_text(run("work-pool", "get-default-base-job-template").stdout)
    assert (
        run("work-pool", "create", "p", "--base-job-template", "template.json", "--concurrency-limit", "2").exit_code
        == 0
    )
    assert run("work-pool", "create", "p").exit_code == 1
    run("work-pool", "set-concurrency-limit", "p", "5")
    run("work-pool", "pause", "p")
    found = json.loads(run("work-pool", "inspect", "p", "-o", "json").stdout)
    assert (found["concurrency_limit"], found["is_paused"], "variables" in found["base_job_template"]) == (
        5,
        True,
        True,
    )
    run("work-pool", "resume", "p")
    run("work-pool", "clear-concurrency-limit", "p")
    run("work-pool", "update", "p", "--description", "for tests")
    shown = run("work-pool", "inspect", "p").stdout
    assert "for tests" in shown
    assert "none is heard of" in shown
    assert run("work-pool", "delete", "p", "-y").exit_code == 0
    assert run("work-pool", "inspect", "p").exit_code == 1


def test_queues_are_made_changed_and_deleted(run: Run) -> None:
    run("work-pool", "create", "p")
    assert run("work-queue", "create", "fast", "-p", "p", "--priority", "1").exit_code == 0
    assert run("work-queue", "ls", "-p", "p").stdout.splitlines()[1].startswith("fast")
    run("work-queue", "pause", "fast", "-p", "p")
    run("work-queue", "set-concurrency-limit", "fast", "3", "-p", "p")
    found = json.loads(run("work-queue", "inspect", "fast", "-p", "p").stdout)
    assert (found["is_paused"], found["concurrency_limit"]) == (True, 3)
    run("work-queue", "resume", "fast", "-p", "p")
    assert run("work-queue", "delete", "fast", "-p", "p").exit_code == 0
    assert "Every work pool has a queue" in run("work-queue", "delete", "default", "-p", "p").stderr


def test_a_queue_has_a_key_and_limits_per_key(run: Run) -> None:
    run("work-pool", "create", "p")
    limits = ("--concurrency-limit-per-key", "2", "--rate-limit-per-key", "10/m")
    done = run("work-queue", "create", "fair", "-p", "p", "--concurrency-key", "parameters.tenant", *limits)
    assert done.exit_code == 0, done.stderr
    found = json.loads(run("work-queue", "inspect", "fair", "-p", "p").stdout)
    assert (found["concurrency_key"], found["concurrency_limit_per_key"]) == ("parameters.tenant", 2)
    assert found["rate_limit_per_key"] == {"limit": 10, "period": 60.0}
    assert run("work-queue", "update", "fair", "-p", "p", "--priority", "3").exit_code == 0
    assert run("work-queue", "update", "fair", "-p", "p", "--no-keys").exit_code == 0
    found = json.loads(run("work-queue", "inspect", "fair", "-p", "p").stdout)
    assert (found["priority"], found["concurrency_key"], found["rate_limit_per_key"]) == (3, None, None)
    for wrong, said in (
        (("--concurrency-key", "tenant"), "begins with 'tenant'"),
        (("--rate-limit-per-key", "much"), "A rate is how many in a time"),
    ):
        refused = run("work-queue", "update", "fair", "-p", "p", *wrong)
        assert (refused.exit_code, said in refused.stderr) == (1, True), refused.stderr
    assert run("work-queue", "update", "fair", "-p", "p").exit_code == 2


def test_why_a_run_waits_is_said(run: Run, deployed: str) -> None:
    run("deployment", "run", deployed, "--flow-run-name", "me", "--priority", "3", "--concurrency-key", "acme")
    done = run("flow-run", "why", "me")
    assert "No worker is online for queue 'default' of work pool 'local'" in done.stdout
    assert ("no-worker" in done.stdout, "acme" in done.stdout) == (True, True)
    found = json.loads(run("flow-run", "why", "me", "-o", "json").stdout)
    assert (found["reason"], found["key"], found["work_queue"]) == ("no-worker", "acme", "default")
    assert "No worker is online" in run("flow-run", "inspect", "me").stdout
    shown = json.loads(run("flow-run", "inspect", "me", "-o", "json").stdout)
    assert (shown["why"]["reason"], shown["launch"]["priority"]) == ("no-worker", 3)
    assert run("flow-run", "why", "nobody").exit_code == 1


def test_a_worker_of_a_pool_that_is_not_there_says_so(run: Run) -> None:
    done = run("worker", "start", "--pool", "nowhere", "--run-once")
    assert (done.exit_code, "Work pool 'nowhere' not found" in done.stderr) == (1, True)


def test_a_worker_makes_its_pool_when_it_is_told_the_type(run: Run) -> None:
    done = run("worker", "start", "--pool", "new", "--type", "process", "--run-once", "--name", "me")
    assert done.exit_code == 0, done.stderr
    assert "Created work pool 'new'" in done.stdout
    assert "me" in run("worker", "ls", "--all").stdout
    assert "is of type 'process', not 'docker'" in run("worker", "start", "--pool", "new", "-t", "docker").stderr
    assert run("agent", "start", "--run-once").exit_code == 0


def test_a_type_that_is_not_there_is_said(run: Run) -> None:
    refused = run("work-pool", "create", "far", "--type", "proces")
    assert refused.exit_code == 1
    assert "no type of infrastructure 'proces'" in refused.stderr
    assert "Did you mean 'process'?" in refused.stderr
    assert "no type of infrastructure 'moon'" in run("worker", "start", "--type", "moon", "--pool", "far").stderr


def test_a_run_is_executed_by_a_worker_that_runs_once(run: Run, folder: Path, deployed: str) -> None:
    (folder / "f.py").write_text("from penstock import flow\n@flow\ndef etl(count: int = 1, day: str = ''): ...\n")
    run("deployment", "run", deployed)
    done = run("worker", "start", "--pool", "local", "--run-once")
    assert done.exit_code == 0, done.stderr
    (made,) = json.loads(run("flow-run", "ls", "-o", "json").stdout)
    assert made["state_name"] == "Completed"


def test_where_a_run_is_and_how_it_is_ended_by_hand_is_listed(run: Run, deployed: str) -> None:
    from datetime import UTC, datetime
    from uuid import UUID

    from penstock.domain.launches import Place

    made = json.loads(run("deployment", "run", deployed, "-o", "json").stdout)
    with connect.open_store().write() as tx:
        launch: Any = launches.get(tx, UUID(made["id"]))
        launch.claimed, launch.place = datetime.now(UTC), Place("process", "host:boot", "77:1")
        launches.put(tx, launch)
    shown = run("infrastructure", "ls").stdout
    assert made["id"] in shown
    assert "process host:boot:77:1" in shown
    assert "by hand: kill -TERM -77  # on host" in shown
    shown = run("flow-run", "inspect", made["id"]).stdout
    assert "Work pool:          local (queue default)" in shown
    assert "Infrastructure:     process host:boot:77:1" in shown
    assert "To end it by hand:  kill -TERM -77" in shown
    assert json.loads(run("flow-run", "inspect", made["id"], "-o", "json").stdout)["launch"]["place"]["id"] == "77:1"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("2030-06-30T06:00", "2030-06-30 06:00:00"),
        ("2030-06-30T06:00:30", "2030-06-30 06:00:30"),
        ("2030-06-30T06:00+02:00", "2030-06-30 04:00:00"),
        ("2030-06-30", "2030-06-30 00:00:00"),
    ],
)
def test_times_are_typed_as_people_write_them(run: Run, deployed: str, typed: str, told: str) -> None:
    shown = run("deployment", "schedule", "preview", "--at", typed, "--timezone", "UTC")
    assert told in shown.stdout, shown.stderr
    wrong = run("deployment", "schedule", "preview", "--at", "tomorrow")
    assert (wrong.exit_code, "is not a time" in wrong.stderr) == (2, True)


def test_a_run_is_due_in_a_span(run: Run, deployed: str) -> None:
    assert run("deployment", "run", deployed, "--in", "5m").exit_code == 0
    wrong = run("deployment", "run", deployed, "--in", "soon")
    assert (wrong.exit_code, "is not a number of seconds, nor a span" in wrong.stderr) == (2, True)


def test_a_queue_that_is_in_use_is_not_deleted_and_a_worker_for_one_that_is_not_there_is_told_so(
    run: Run, deployed: str
) -> None:
    run("work-queue", "create", "fast", "--pool", "local")
    (found,) = connect.call(asked.FILTER_DEPLOYMENTS, asked.FilterDeployments()).items
    connect.call(asked.UPDATE_DEPLOYMENT, asked.UpdateDeployment(id=found.id, work_queue="fast"))
    refused = run("work-queue", "delete", "fast", "--pool", "local")
    assert (refused.exit_code, "that of deployment 'etl/nightly'" in refused.stderr) == (1, True), refused.stderr
    connect.call(asked.UPDATE_DEPLOYMENT, asked.UpdateDeployment(id=found.id, work_queue="default"))
    assert run("work-queue", "delete", "fast", "--pool", "local").exit_code == 0
    lost = run("worker", "start", "--pool", "local", "--work-queue", "fastt", "--run-once")
    assert (lost.exit_code, "has no queue 'fastt'" in lost.stderr) == (1, True), lost.stderr


def test_a_worker_takes_no_runs_of_a_pool_of_another_type(run: Run, deployed: str) -> None:
    run("work-pool", "create", "boxes", "--type", "docker")
    refused = run("worker", "start", "--pool", "boxes", "--type", "process", "--run-once")
    assert (refused.exit_code, "is of type 'docker', not 'process'" in refused.stderr) == (2, True), refused.stderr
