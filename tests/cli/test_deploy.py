"""`penstock deploy` and penstock.yaml."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]

FLOWS = """
from penstock import flow

@flow
def etl(day: str, count: int = 1):
    "What it does."

@flow(name="weekly report")
def report():
    pass
"""
FILE = """
definitions:
  pool: &pool
    name: local
    job_variables: {working_dir: "{{ $WHERE }}"}
pull:
  - penstock.deployments.steps.set_working_directory: {directory: /srv}
deployments:
  - name: nightly
    entrypoint: flows/jobs.py:etl
    tags: [one, two]
    parameters: {day: monday}
    work_pool: *pool
    concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW}
    schedules:
      - {cron: "0 6 * * 1-5", timezone: Europe/Berlin, slug: workdays, overlap: skip}
      - {interval: 3600, anchor_date: 2026-01-01T00:00, active: false}
      - {rrule: "FREQ=MONTHLY;BYDAY=-1FR"}
      - {at: 2036-12-24T18:00, timezone: Europe/Berlin}
  - name: weekly
    entrypoint: flows/jobs.py:report
    flow_name: weekly report
    work_pool: {name: local}
    schedule:
    pull: []
"""


@pytest.fixture(autouse=True)
def project(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with flows, and a pool."""
    (folder / "flows").mkdir()
    (folder / "flows" / "jobs.py").write_text(FLOWS)
    monkeypatch.setenv("WHERE", "/tmp")
    assert run("work-pool", "create", "local").exit_code == 0
    return folder


@pytest.fixture
def written(project: Path) -> Path:
    path = project / "penstock.yaml"
    path.write_text(FILE)
    return path


def inspected(run: Run, name: str) -> Any:
    return json.loads(run("deployment", "inspect", name, "-o", "json").stdout)


def test_all_of_the_file_is_deployed_as_it_is_written(run: Run, written: Path) -> None:
    done = run("deploy", "--all")
    assert done.exit_code == 0, done.stderr
    assert "+ etl/nightly (new)" in done.stdout
    assert "Deployed 'weekly report/weekly'." in done.stdout
    assert "Nothing is polling queue 'default'" in done.stderr
    nightly = inspected(run, "etl/nightly")
    assert (nightly["tags"], nightly["parameters"]) == (["one", "two"], {"day": "monday"})
    assert (nightly["job_variables"], nightly["work_pool"]) == ({"working_dir": "/tmp"}, "local")
    assert (nightly["concurrency_limit"], nightly["collision"]) == (1, "CANCEL_NEW")
    assert nightly["description"] == "What it does."
    assert nightly["path"] is None
    assert list(nightly["pull_steps"][0]) == ["penstock.deployments.steps.set_working_directory"]
    assert nightly["parameter_schema"]["required"] == ["day"]
    kinds = [each["schedule"]["kind"] for each in nightly["schedules"]]
    assert sorted(kinds) == ["cron", "interval", "once", "rrule"]
    workdays = next(each for each in nightly["schedules"] if each["slug"] == "workdays")
    assert (workdays["overlap"], workdays["schedule"]["timezone"]) == ("skip", "Europe/Berlin")
    once = next(each for each in nightly["schedules"] if each["schedule"]["kind"] == "once")
    assert once["schedule"]["at"] in ("2036-12-24T17:00:00Z", "2036-12-24T18:00:00+01:00")
    weekly = inspected(run, "weekly")
    assert (weekly["path"], weekly["pull_steps"], weekly["schedules"]) == (str(written.parent), [], [])


def test_what_changes_is_shown_before_it_is_applied_and_a_dry_run_applies_nothing(run: Run, written: Path) -> None:
    assert "is as it was" not in run("deploy", "--all").stderr
    assert "weekly report/weekly is as it was." in run("deploy", "-n", "weekly").stderr
    before = inspected(run, "nightly")
    shown = run("deploy", "-n", "nightly", "--tag", "three", "--param", "count=2", "--dry-run")
    assert '    tags: ["one", "two"] → ["three"]' in shown.stdout
    assert "Would deploy 'etl/nightly'." in shown.stdout
    assert inspected(run, "nightly") == before
    assert run("deploy", "-n", "nightly", "--tag", "three", "--param", "count=2").exit_code == 0
    after = inspected(run, "nightly")
    assert (after["tags"], after["parameters"], after["revision"]) == (["three"], {"day": "monday", "count": 2}, 2)
    assert after["schedules"] == before["schedules"]


def test_an_entrypoint_is_deployed_without_a_file(run: Run, project: Path) -> None:
    done = run(
        "deploy", "flows/jobs.py:etl", "-n", "mine", "-p", "local", "-jv", "working_dir=/srv", "--cron", "@daily",
        "--version", "7", "--concurrency-limit", "2", "-o", "json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    (made,) = json.loads(done.stdout)
    assert made["created"] is True
    found = inspected(run, "mine")
    assert (found["entrypoint"], found["path"]) == ("flows/jobs.py:etl", str(project))
    assert (found["version"], found["concurrency_limit"]) == ("7", 2)
    assert found["schedules"][0]["schedule"]["cron"] == "@daily"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("deploy",), "The file has several deployments (nightly, weekly). Say --all, or --name"),
        (("deploy", "-n", "nightle"), "The file has no deployment 'nightle'; it has: nightly, weekly."),
        (("deploy", "flows/jobs.py:etl"), "Say how the deployment is called"),
        (("deploy", "flows/jobs.py:etl", "-n", "x"), "needs a work pool"),
        (("deploy", "flows/jobs.py:etl", "-n", "x", "-p", "nowhere"), "nowhere"),
        (("deploy", "flows/jobs.py:no", "-n", "x", "-p", "local"), "There is no flow 'no'"),
        (("deploy", "flows/no.py:etl", "-n", "x", "-p", "local"), "no.py"),
        (("deploy", "flows/jobs.py", "-n", "x", "-p", "local"), "flows/jobs.py"),
        (("deploy", "-n", "weekly", "--cron", "61 * * * *"), "'61' is no minute"),
        (("deploy", "-n", "weekly", "--param", "count=2"), "count"),
        (("deploy", "-n", "weekly", "--collision-strategy", "CANCEL_NEW"), "goes with --concurrency-limit"),
        (("deploy", "--file", "no.yaml"), "no.yaml cannot be read"),
    ],
)
def test_what_cannot_be_deployed_is_refused_and_nothing_is(
    run: Run, written: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run(*arguments)
    assert done.exit_code != 0
    assert message in done.stderr
    assert run("deployment", "ls").stdout == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deployments: [", "is no YAML"),
        ("[]", "is a mapping with"),
        ("deployments: 3", "`deployments` is a list"),
        ("deployment: []", "has 'deployment', which is no field; did you mean 'deployments'?"),
        ("deployments: [{name: a, entrypoint: f, paramters: {}}]", "'paramters', which is no field; did you mean"),
        ("deployments: [{name: a}]", "deployment 'a': Object missing required field `entrypoint`"),
        ("deployments: [{name: a, entrypoint: f, tags: one}]", "Expected `array`"),
        ("deployments: [{name: a, entrypoint: f, pull: [git_clone]}]", "`pull` is a list of steps"),
        ("deployments: [{name: a, entrypoint: f, work_pool: {name: '{{ $UNSET }}'}}]", "UNSET is not set"),
        ("deployments: [{name: a, entrypoint: f, version: '{{ now() }}'}]", "{{ now() }} is not filled in"),
        ("deployments: [{name: a, entrypoint: f, concurrency_limit: {limit: x}}]", "Expected `int`"),
        ("build: []\ndeployments: []", "builds and pushes no images"),
        ("deployments: [!!python/object/apply:os.system [id]]", "is no YAML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_what_is_wrong(run: Run, written: Path, text: str, message: str) -> None:
    written.write_text(text)
    done = run("deploy")
    assert done.exit_code == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("{}", "has one of cron, interval, rrule, at"),
        ("{cron: '* * * * *', at: 2030-01-01}", "has one of"),
        ("{cron: '* * * * *', anchor_date: 2030-01-01}", "'anchor_date', which is no field"),
        ("{interval: often}", "not 'often'"),
        ("{at: soon}", "'soon' is no time"),
        ("{cron: '* * * * *', overlap: never}", "Invalid enum value 'never'"),
        ("{cron: '* * 32 * *'}", "'32' is no day"),
    ],
)
def test_a_schedule_that_is_wrong_is_refused_with_its_deployment(
    run: Run, written: Path, schedule: str, message: str
) -> None:
    written.write_text(
        "deployments: [{name: a, entrypoint: 'flows/jobs.py:report', work_pool: {name: local}, "
        f"schedules: [{schedule}]}}]"
    )
    done = run("deploy")
    assert done.exit_code == 1
    assert message in done.stderr
    assert run("deployment", "ls").stdout == ""


def test_priority_keys_and_rates_are_in_the_file_and_on_the_command_line(run: Run, written: Path) -> None:
    one = "{name: a, entrypoint: 'flows/jobs.py:etl', work_pool: {name: local}, priority: 5,"
    keys = "concurrency_key: parameters.day, concurrency_limit_per_key: 2, rate_limit_per_key: 5/30s"
    written.write_text(f"deployments: [{one} {keys}}}]")
    (done,) = json.loads(run("deploy", "--concurrency-limit-per-key", "3", "-o", "json").stdout)
    found = done["deployment"]
    assert (found["priority"], found["concurrency_key"], found["concurrency_limit_per_key"]) == (5, "parameters.day", 3)
    assert found["rate_limit_per_key"] == {"limit": 5, "period": 30.0}
    assert "Rate per key:" in run("deployment", "inspect", "a").stdout
    for wrong, said in (
        ("concurrency_key: parameters.dai", "no parameter 'dai'"),
        ("rate_limit_per_key: often", "A rate is how many"),
        ("concurrency_key: day", "begins with 'day'"),
    ):
        written.write_text(f"deployments: [{one} {wrong}}}]")
        refused = run("deploy")
        assert (refused.exit_code, said in refused.stderr) == (1, True), refused.stderr
    written.write_text(f"deployments: [{one.replace('5', 'high')}}}]")
    assert "priority" in run("deploy").stderr


def test_a_file_that_cannot_be_imported_is_told_with_the_deployment(run: Run, written: Path, project: Path) -> None:
    (project / "flows" / "jobs.py").write_text("import no_such_module")
    done = run("deploy", "-n", "weekly")
    assert done.exit_code == 1
    assert "Deployment 'weekly': flows/jobs.py:report cannot be loaded: ModuleNotFoundError" in done.stderr


def test_runs_that_are_planned_for_later_are_listed_when_they_are_asked_for(run: Run, project: Path) -> None:
    run("deploy", "flows/jobs.py:report", "-n", "later", "-p", "local")
    run("deployment", "run", "later", "--in", "3600", "--flow-run-name", "then")
    run("deployment", "run", "later", "--flow-run-name", "now")
    assert [each["name"] for each in json.loads(run("flow-run", "ls", "-o", "json").stdout)] == ["now"]
    assert len(json.loads(run("flow-run", "ls", "--upcoming", "-o", "json").stdout)) == 2
    assert len(json.loads(run("flow-run", "ls", "--state", "Scheduled", "-o", "json").stdout)) == 2
