"""Deploying from Python: where the code is, what its parameters are, when it is run; and running it from anywhere."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from penstock import Flow, connect, deploy, flow, serve
from penstock.deployments import arun_deployment, run_deployment
from penstock.domain.concurrency_keys import Rate
from penstock.domain.deployments import Collision
from penstock.domain.schedules import CatchUp, CronSchedule, IntervalSchedule, OneOffSchedule, Overlap, RRuleSchedule
from penstock.exceptions import DeploymentError, ObjectNotFound, ParameterError, ParameterTypeError, ScheduleError
from penstock.flow_runs import awhy_flow_run_waits, why_flow_run_waits
from penstock.flows.parameter_schema import schema_of
from penstock.protocol.deployments import FILTER_DEPLOYMENTS, FilterDeployments
from penstock.protocol.launches import READ_LAUNCH, LaunchOf
from penstock.schedules import Cron, Interval, Once, RRule

from .kit import Programs, Record, until


class Size(BaseModel):
    width: int
    height: int = 1


@flow
def shaped(
    day: date, size: Size, kind: Literal["a", "b"] = "a", count: int = 1, anything: Any = None, odd: object = object()
) -> None: ...


@flow
def simple(name: str = "x") -> str:
    return name


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)


def test_the_schema_of_parameters_says_what_the_annotations_say() -> None:
    schema = schema_of(shaped.fn)
    properties = schema["properties"]
    assert schema["required"] == ["day", "size"]
    assert (properties["day"]["format"], properties["kind"]["enum"], properties["count"]["default"]) == (
        "date", ["a", "b"], 1,
    )  # fmt: skip
    assert properties["size"]["required"] == ["width"]
    assert "default" not in properties["odd"]
    assert [properties[name]["position"] for name in properties] == list(range(6))


def test_a_flow_is_deployed_as_its_place_in_the_folder_that_is_run_in(here: None) -> None:
    made = simple.to_deployment("d", tags=["t"], parameters={"name": "y"}, version="7").apply()
    assert (made.entrypoint, made.path) == ("test_deploying.py:simple", str(Path(__file__).parent))
    assert (made.tags, made.parameters, made.version, made.full_name) == (("t",), {"name": "y"}, "7", "simple/d")


def test_parameters_travel_as_json(here: None) -> None:
    made = shaped.to_deployment("d", parameters={"day": date(2026, 1, 2), "size": Size(width=3)}).apply()
    assert made.parameters == {"day": "2026-01-02", "size": {"width": 3, "height": 1}}
    with pytest.raises(ParameterTypeError, match="Parameter 'odd' cannot travel"):
        shaped.to_deployment("d", parameters={"odd": object()})


def test_schedules_are_written_in_short_and_in_full(here: None) -> None:
    at = datetime(2026, 12, 24, tzinfo=UTC)
    made = simple.to_deployment(
        "d",
        cron="0 6 * * *",
        interval=[60, timedelta(hours=1)],
        timezone="Europe/Berlin",
        schedules=[
            Cron("0 7 * * *", overlap="skip", catchup="all", jitter=5, slug="seven"),
            RRule("FREQ=DAILY", parameters={"name": "z"}),
            Interval(timedelta(days=1), at, active=False),
            Once(at),
            CronSchedule("0 8 * * *"),
            {"schedule": {"kind": "cron", "cron": "0 9 * * *"}},
        ],
    ).apply()
    found = [each.schedule for each in made.schedules]
    assert found == [
        CronSchedule("0 7 * * *"),
        RRuleSchedule("FREQ=DAILY"),
        IntervalSchedule(86_400, anchor_date=at),
        OneOffSchedule(at),
        CronSchedule("0 8 * * *"),
        CronSchedule("0 9 * * *"),
        CronSchedule("0 6 * * *", timezone="Europe/Berlin"),
        IntervalSchedule(60, timezone="Europe/Berlin"),
        IntervalSchedule(3600, timezone="Europe/Berlin"),
    ]
    first = made.schedules[0]
    assert (first.overlap, first.catchup, first.jitter, first.slug) == (Overlap.SKIP, CatchUp.ALL, 5, "seven")
    assert (made.schedules[2].active, made.schedules[1].parameters) == (False, {"name": "z"})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cron": "61 * * * *"}, ScheduleError, "'61' is no minute"),
        ({"schedules": ["daily"]}, DeploymentError, "'daily' is no schedule: use Cron"),
        ({"schedules": [{"schedule": {"kind": "never"}}]}, DeploymentError, "is no schedule"),
        ({"concurrency_limit": {"limit": 1, "collision_strategy": "FIGHT"}}, DeploymentError, "is one of ENQUEUE"),
        ({"work_pool_name": "none"}, ObjectNotFound, "Work pool 'none' not found"),
        ({"parameters": {"name": 5}}, ParameterError, "name: 5 is not of type 'string'"),
    ],
)
def test_what_cannot_be_deployed_is_said(
    here: None, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        simple.to_deployment("d", **options).apply()


def test_a_policy_that_is_none_is_said() -> None:
    with pytest.raises(DeploymentError, match="overlap is one of allow, skip, queue, cancel-old; this is 'never'"):
        Cron("* * * * *", overlap="never")
    with pytest.raises(DeploymentError, match="A schedule has no 'jiter'"):
        Cron("* * * * *", jiter=1)


def test_a_flow_that_cannot_be_found_from_outside_is_not_deployed() -> None:
    @flow
    def inside() -> None: ...

    with pytest.raises(DeploymentError, match="cannot be found from outside"):
        inside.to_deployment("d")


def test_priority_key_and_rates_are_of_the_deployment_and_a_run_may_differ(here: None) -> None:
    made = simple.to_deployment(
        "d", priority=7, concurrency_key="'one'", concurrency_limit_per_key=2, rate_limit_per_key="10/m"
    ).apply()
    assert (made.priority, made.concurrency_key, made.concurrency_limit_per_key) == (7, "'one'", 2)
    assert made.rate_limit_per_key == Rate(10, 60)
    usual = run_deployment("simple/d", timeout=0)
    other = run_deployment("simple/d", timeout=0, priority=1, concurrency_key="two")
    launched = [connect.call(READ_LAUNCH, LaunchOf(run.id)) for run in (usual, other)]
    assert [(each.priority, each.concurrency_key) for each in launched] == [(7, "one"), (1, "two")]
    why = why_flow_run_waits(usual.id)
    assert (why.reason, why.deployment) == ("no-worker", "simple/d")
    assert asyncio.run(awhy_flow_run_waits(usual.id)) == why


def test_a_limit_says_what_becomes_of_a_run_too_many(here: None) -> None:
    made = simple.to_deployment("d", concurrency_limit={"limit": 2, "collision_strategy": "CANCEL_NEW"}).apply()
    assert (made.concurrency_limit, made.collision) == (2, Collision.CANCEL_NEW)


def test_deploying_needs_a_pool_and_builds_no_images(here: None) -> None:
    with pytest.raises(DeploymentError, match="needs a work pool"):
        deploy(simple.to_deployment("d"))
    with pytest.raises(DeploymentError, match="builds and pushes no images"):
        simple.deploy("d", "pool", build=True)
    with pytest.raises(DeploymentError, match="at least one deployment"):
        serve()


def test_a_flow_comes_from_a_folder_or_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "etl.py").write_text("from penstock import flow\n@flow\ndef etl(x: int = 1): ...\netl()\n")
    near = Flow.from_source(tmp_path / "code", "etl.py:etl").to_deployment("d").apply()
    assert (near.entrypoint, near.path, near.pull_steps) == ("etl.py:etl", str(tmp_path / "code"), ())
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path / "code")]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], check=True)
    address = f"file://{tmp_path / 'code'}"
    far = Flow.from_source(address, "etl.py:etl").to_deployment("d").apply()
    assert (far.entrypoint, far.path) == ("etl.py:etl", None)
    assert far.pull_steps == ({"penstock.deployments.steps.git_clone": {"repository": address}},)
    assert "x" in far.parameter_schema["properties"]
    with pytest.raises(DeploymentError, match="is no folder"):
        Flow.from_source(tmp_path / "nowhere", "etl.py:etl")


# --- served ----------------------------------------------------------------------------------------------------------

SERVED = """
import os, sys, time
from pathlib import Path
from penstock import flow, serve
from penstock.deployments import run_deployment

@flow
def inner(seconds: float = 0.0):
    Path(os.environ["FOLDER"], "inner").touch()
    time.sleep(seconds)

@flow
def outer(seconds: float = 0.0):
    run = run_deployment("inner/served", parameters={"seconds": seconds})
    assert run.state.is_completed()

serve(inner.to_deployment("served"), outer.to_deployment("served"), limit=4)
"""


@pytest.fixture
def served(programs: Programs, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = programs.start(SERVED, FOLDER=str(tmp_path))
    assert process.stdout is not None
    until(lambda: "deployment run 'outer/served'" in process.stdout.readline() if process.stdout else True)
    yield process
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


def test_a_served_deployment_is_run_and_waited_for(served: subprocess.Popen[str], record: Record) -> None:
    run = run_deployment("inner/served", timeout=30, tags=["now"])
    assert (run.state_name, "now" in run.tags) == ("Completed", True)


def test_patience_ends_and_the_run_goes_on(served: subprocess.Popen[str]) -> None:
    run = run_deployment("inner/served", parameters={"seconds": 1.0}, timeout=0.1)
    assert not run.state.is_final()
    assert run_deployment("inner/served", timeout=0).state_name == "Scheduled"


def test_it_is_awaited_where_there_is_a_loop(served: subprocess.Popen[str]) -> None:
    async def main() -> list[str]:
        runs = await asyncio.gather(run_deployment("inner/served"), arun_deployment("inner/served"))
        return [run.state_name for run in runs]

    assert asyncio.run(main()) == ["Completed", "Completed"]


def test_a_run_called_in_a_flow_is_its_subflow_and_is_cancelled_with_it(
    served: subprocess.Popen[str], record: Record, tmp_path: Path
) -> None:
    from penstock import cancel_flow_run

    outer = run_deployment("outer/served", parameters={"seconds": 60.0}, timeout=0)
    until((tmp_path / "inner").exists, 30)
    inner = record.flow_run("inner")
    assert inner.flow_run_id == outer.id
    cancel_flow_run(outer.id, wait=True, timeout=30)
    ended = until(lambda: run if (run := record.flow_run("inner")).state.is_final() else None)
    assert ended.state_name == "Cancelled"
    assert ended.holder is not None
    until(lambda: not os.path.exists(f"/proc/{ended.holder.pid}") if ended.holder else True)


def test_parameters_that_do_not_fit_are_refused_where_the_run_is_asked_for(served: subprocess.Popen[str]) -> None:
    with pytest.raises(ParameterError, match="seconds: 'long' is not of type 'number'"):
        run_deployment("inner/served", parameters={"seconds": "long"})
    with pytest.raises(ObjectNotFound, match="Did you mean 'inner/served'"):
        run_deployment("inner/serve")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parameters": 5}, "parameters is a dict"),
        ({"job_variables": [1]}, "job_variables is a dict"),
        ({"schedules": 5}, "schedules is a list"),
        ({"interval": "1h"}, "interval is a number of seconds"),
        ({"tags": "abc"}, "tags are several texts"),
        ({"concurrency_limit": {"limit": 1, "colision": 2}}, "not 'colision'"),
        ({"version": 1}, r"\$\.version"),
        ({"concurrency_limit": True}, r"\$\.concurrency_limit"),
        ({"concurrency_limit": 0}, r"\$\.concurrency_limit"),
        ({"grace": -1}, r"\$\.grace"),
        ({"start_timeout": "5"}, r"\$\.start_timeout"),
        ({"cron": 5}, r"schedule\.cron"),
        ({"priority": "high"}, "whole number"),
        ({"concurrency_key": "tenant"}, "begins with 'tenant'"),
        ({"concurrency_key": "parameters.tenant"}, "has no parameter 'tenant'"),
        ({"concurrency_key": 5}, "is a path"),
        ({"concurrency_limit_per_key": True}, "1 or more"),
        ({"rate_limit_per_key": "often"}, "10/m"),
        ({"rate_limit_per_key": {"limit": 1}}, "a limit and a period"),
        ({"rate_limit_per_key": "0/s"}, "1 to 10,000"),
        ({"name": "x" * 300}, r"\$\.name"),
    ],
)
def test_what_cannot_be_of_a_deployment_is_refused_before_anything_is_kept(
    here: None, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        simple.to_deployment(**{"name": "d", **options}).apply()
    assert connect.call(FILTER_DEPLOYMENTS, FilterDeployments()).items == []


def test_what_cannot_be_served_is_refused(here: None) -> None:
    one: Any = simple.to_deployment("d")
    for call, said in (
        (lambda: serve(simple), "takes deployments"),  # type: ignore[arg-type]
        (lambda: serve(one, one), "twice"),
        (lambda: serve(one, limit=0), "limit is how many"),
        (lambda: serve(one, limit="two"), "limit is how many"),  # type: ignore[arg-type]
    ):
        with pytest.raises(DeploymentError, match=said):
            call()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"priority": "high"}, "priority"), ({"priority": -3}, "priority"), ({"flow_run_name": 5}, "name"),
     ({"concurrency_key": "k" * 201}, "1 to 200 letters"),
     ({"scheduled_time": "tomorrow"}, "scheduled_time"), ({"tags": "abc"}, "tags")],
)  # fmt: skip
def test_what_cannot_be_of_a_run_is_refused_before_it_is_made(here: None, options: Any, said: str) -> None:
    simple.to_deployment("d").apply()
    with pytest.raises(ValueError, match=said):
        run_deployment("simple/d", timeout=0, **options)
