"""`penstock deployment backfill`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from penstock import connect
from penstock.protocol.deployments import APPLY_DEPLOYMENT, ApplyDeployment

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def deployed(run: Run) -> None:
    run("work-pool", "create", "local")
    connect.call(
        APPLY_DEPLOYMENT, ApplyDeployment(flow_name="etl", name="nightly", work_pool="local", entrypoint="f.py:etl")
    )


def backfill(run: Run, *arguments: str) -> Result:
    return run("deployment", "backfill", *arguments)


DAYS = ("create", "nightly", "--start", "2026-01-01", "--end", "2026-01-08", "--cron", "0 6 * * *")


def test_it_is_made_listed_shown_and_cancelled(run: Run) -> None:
    done = backfill(run, *DAYS, "--parallelism", "2", "-p", "a=1")
    assert done.exit_code == 0, done.stderr
    assert "7 runs of deployment 'etl/nightly', 2 at once." in done.stdout
    (listed,) = json.loads(backfill(run, "ls", "-o", "json").stdout)
    assert (listed["status"], listed["made"], listed["parameters"]) == ("running", 2, {"a": 1})
    assert "2 of 7" in backfill(run, "ls", "nightly").stdout
    assert "Schedule:    at 06:00 every day" in backfill(run, "inspect", listed["id"]).stdout
    assert f"Cancelled backfill {listed['id']}." in backfill(run, "cancel", listed["id"]).stdout
    assert "cancelled" in backfill(run, "ls").stdout
    runs = json.loads(run("flow-run", "ls", "-o", "json").stdout)
    assert {each["state_name"] for each in runs} == {"Cancelled"}
    assert {each["expected_start_time"] for each in runs} == {"2026-01-01T06:00:00Z", "2026-01-02T06:00:00Z"}


def test_a_dry_run_says_what_there_would_be(run: Run) -> None:
    assert "Would make 7 runs of deployment 'etl/nightly', 1 at once: at 06:00 every day," in backfill(
        run, *DAYS, "--dry-run"
    ).stdout.replace("\n", " ")
    assert "There are no backfills" in backfill(run, "ls").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create", "nightly", "--start", "2026-01-01"), "has no schedule: describe one"),
        (("create", "nightli", "--start", "2026-01-01"), "not found"),
        (("create", "nightly"), "Missing option '--start'"),
        (("create", "nightly", "--start", "2026-01-01", "--cron", "x"), "has 5 fields"),
        (("inspect", "x"), "Backfill 'x' not found"),
        (("cancel", "018f0000-0000-7000-8000-000000000000"), "not found"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(run: Run, arguments: tuple[str, ...], message: str) -> None:
    done = backfill(run, *arguments)
    assert done.exit_code != 0
    assert message in done.stderr
