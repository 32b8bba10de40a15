"""The driver of Google Cloud Run, against an API with the shapes that its reference documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from penstock.domain import templates
from penstock.domain.launches import Place
from penstock.exceptions import InfrastructureError, InfrastructureNotAvailable, InfrastructureRefused
from penstock.infrastructure.cloud_rest import CloudApi
from penstock.infrastructure.cloud_run import CloudRunDriver
from penstock.infrastructure.contract import Job
from penstock.infrastructure.polling import Poller

from .vendor_api import TOKEN, Asked, Clock, Json, Vendor, serving

PARENT = "/projects/team/locations/europe-west1"
SECRET = "pst_very-secret"


class CloudRun:
    """Jobs and executions; what becomes of an execution is set."""

    def __init__(self) -> None:
        self.jobs: dict[str, Json] = {}
        self.executions: dict[str, Json] = {}
        self.attempt: Json = {"exitCode": 3}
        self.refuse: tuple[int, Json] | None = None

    def __call__(self, asked: Asked) -> tuple[int, Json]:
        path = asked.path
        if self.refuse is not None:
            return self.refuse
        if asked.method == "POST" and path == f"{PARENT}/jobs":
            name = f"{path}/{asked.query['jobId']}"
            if name in self.jobs:
                return 409, {"error": {"code": 409, "status": "ALREADY_EXISTS", "message": "it exists"}}
            self.jobs[name] = asked.body or {}
            return 200, {"name": f"{PARENT[1:]}/operations/1", "done": False}
        if "/operations/" in path:
            return 200, {"name": path[1:], "done": True, "response": {}}
        if path.endswith(":run"):
            name = f"{path[1:-4]}/executions/e-{len(self.executions)}"
            self.executions[f"/{name}"] = {"name": name, "startTime": "2026-11-26T10:00:00.123456789Z"}
            return 200, {"name": f"{PARENT[1:]}/operations/2", "metadata": {"name": name}}
        if path.endswith(":cancel"):
            self.end(path[:-7], cancelledCount=1)
            return 200, {"name": f"{PARENT[1:]}/operations/3", "done": True}
        if path.endswith("/executions"):
            return 200, {"executions": [each for key, each in self.executions.items() if key.startswith(path)]}
        if path.endswith("/tasks"):
            return 200, {"tasks": [{"lastAttemptResult": self.attempt}]}
        found = self.executions.get(path) or self.jobs.get(path)
        if found is None:
            return 404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "not found"}}
        if asked.method == "DELETE":
            del self.jobs[path]
        return 200, found

    def end(self, execution: str, state: str = "CONDITION_FAILED", message: str = "", **counts: int) -> None:
        condition = {"type": "Completed", "state": state, "message": message}
        self.executions[execution] |= {"completionTime": "2026-11-26T10:01:00Z", "conditions": [condition], **counts}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> CloudRun:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "team")
    monkeypatch.setenv("GOOGLE_CLOUD_REGION", "europe-west1")
    return CloudRun()


@pytest.fixture
def vendor(cloud: CloudRun) -> Iterator[Vendor]:
    yield from serving(cloud)


@pytest.fixture
def driver(vendor: Vendor, clock: Clock) -> CloudRunDriver:
    return CloudRunDriver(CloudApi("Google Cloud Run", vendor.url, lambda: TOKEN), Poller(clock.pause, clock))


def job(key: str | None = None, **variables: Any) -> Job:
    filled = templates.filled(CloudRunDriver.base_job_template, {"image": "team/etl:7", **variables}, of="the test")
    return Job(
        name="An exam", key=key or f"{uuid4().hex}-1", command=("python", "-c", "x"),
        env={"PENSTOCK_API_KEY": SECRET}, labels={"penstock.flow-run-id": "A/7"}, configuration=filled,
    )  # fmt: skip


def test_a_job_is_made_and_run_once_with_its_command_and_environment(
    driver: CloudRunDriver, vendor: Vendor, cloud: CloudRun
) -> None:
    place = driver.launch(job(cpu="2", memory="1Gi", service_account_name="runner@team"))
    assert (place.type, place.scope) == ("cloud-run", "gcp:team:europe-west1")
    (made,) = cloud.jobs.values()
    task = made["template"]["template"]
    assert (task["maxRetries"], task["serviceAccount"], task["timeout"]) == (0, "runner@team", "3600s")
    assert task["containers"][0]["resources"] == {"limits": {"cpu": "2", "memory": "1Gi"}}
    assert made["labels"] == {"penstock-flow-run-id": "a-7", "penstock-keep": "false"}
    (run,) = vendor.sent("POST", ":run")
    (over,) = run["overrides"]["containerOverrides"]
    assert (task["containers"][0]["command"], over["args"]) == (["python"], ["-c", "x"])
    assert over["env"] == [{"name": "PENSTOCK_API_KEY", "value": SECRET}]


def test_a_key_is_in_no_job(driver: CloudRunDriver, cloud: CloudRun) -> None:
    driver.launch(job())
    assert SECRET not in repr(cloud.jobs)


def test_the_same_job_is_launched_once_also_after_a_worker_that_came_no_further(
    driver: CloudRunDriver, cloud: CloudRun
) -> None:
    wanted = job()
    place = driver.launch(wanted)
    assert driver.launch(wanted) == place
    cloud.executions.clear()  # the job was made, and not run
    assert driver.launch(wanted).id.startswith(place.id.rpartition("/")[0])
    assert (len(cloud.jobs), len(cloud.executions)) == (1, 1)


@pytest.mark.parametrize(
    ("attempt", "counts", "code", "said"),
    [
        ({"exitCode": 3}, {"failedCount": 1}, 3, ""),
        ({}, {"succeededCount": 1}, 0, None),
        ({"exitCode": 137, "status": {"message": "Memory limit of 512 MiB exceeded"}}, {}, 137, "out of memory"),
        ({"exitCode": 139}, {"failedCount": 1}, 139, "SIGSEGV"),
    ],
)
def test_how_an_execution_ended_is_said(
    driver: CloudRunDriver, cloud: CloudRun, attempt: Json, counts: dict[str, int], code: int, said: str | None
) -> None:
    place = driver.launch(job())
    cloud.attempt = attempt
    cloud.end(f"/{place.id}", "CONDITION_SUCCEEDED" if code == 0 else "CONDITION_FAILED", **counts)
    ended = driver.wait(place, 1)
    assert ended is not None
    assert ended.code == code
    assert (ended.why is None) if said is None else (said in (ended.why or ""))


def test_an_image_that_cannot_be_pulled_is_said(driver: CloudRunDriver, cloud: CloudRun) -> None:
    place = driver.launch(job())
    waiting = {"type": "Started", "state": "CONDITION_PENDING", "message": "Image 'team/etl:7' not found."}
    cloud.executions[f"/{place.id}"]["conditions"] = [waiting]
    assert driver.problem(place) == "Image 'team/etl:7' not found."
    assert driver.started(place) is None
    cloud.attempt = {}
    cloud.end(f"/{place.id}", message="Image 'team/etl:7' not found.")
    ended = driver.wait(place, 1)
    assert ended is not None
    assert (ended.code, ended.why) == (None, "Image 'team/etl:7' not found.")


def test_its_end_is_seen_and_until_then_it_goes_on(driver: CloudRunDriver, cloud: CloudRun, clock: Clock) -> None:
    place = driver.launch(job())
    cloud.executions[f"/{place.id}"]["runningCount"] = 1
    started = driver.started(place)
    assert started is not None
    assert started.microsecond == 123456
    assert driver.wait(place, 30) is None
    clock.then = lambda: cloud.end(f"/{place.id}", failedCount=1)
    ended = driver.wait(place, 30)
    assert ended is not None
    assert ended.code == 3


def test_it_is_stopped_by_another_worker_too(driver: CloudRunDriver, vendor: Vendor, cloud: CloudRun) -> None:
    place = driver.launch(job())
    cloud.attempt = {"exitCode": 137}
    other = CloudRunDriver(CloudApi("Google Cloud Run", vendor.url, lambda: TOKEN))
    assert other.stop(place, 5).how == "killed"
    assert driver.stop(place, 5).how == "gone"


def test_what_has_ended_is_deleted_unless_it_is_to_stay(driver: CloudRunDriver, cloud: CloudRun) -> None:
    driver.forget(driver.launch(job()))
    kept = driver.launch(job(keep_job=True))
    driver.forget(kept)
    assert list(cloud.jobs) == ["/" + kept.id.partition("/executions/")[0]]


def test_one_that_somebody_deleted_is_gone(driver: CloudRunDriver, cloud: CloudRun) -> None:
    place = driver.launch(job())
    cloud.executions.clear()
    cloud.jobs.clear()
    ended = driver.wait(place, 1)
    assert ended is not None
    assert (ended.gone, driver.stop(place, 1).how) == (True, "gone")
    driver.forget(place)


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (403, InfrastructureRefused, "it needs run.jobs.create"),
        (429, InfrastructureNotAvailable, "could not do it now"),
        (503, InfrastructureNotAvailable, "could not do it now"),
        (400, InfrastructureRefused, "because"),
    ],
)
def test_what_google_refuses_is_told_with_the_right_that_is_missing(
    driver: CloudRunDriver, cloud: CloudRun, status: int, error: type[Exception], said: str
) -> None:
    cloud.refuse = status, {"error": {"code": status, "message": "because"}}
    with pytest.raises(error, match=said):
        driver.launch(job())


def test_bad_ids_and_missing_places_are_refused(driver: CloudRunDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InfrastructureError, match="names no execution"):
        driver.stop(Place("cloud-run", driver.scope(), "../x"), 0)
    monkeypatch.delenv("GOOGLE_CLOUD_REGION")
    with pytest.raises(InfrastructureRefused, match="which region"):
        driver.launch(job())


def test_a_person_is_told_the_command(driver: CloudRunDriver) -> None:
    place = driver.launch(job())
    assert driver.by_hand(place).endswith(f"{place.id.rpartition('/')[2]} --project team --region europe-west1")


def test_an_api_that_is_away_is_told(clock: Clock, cloud: CloudRun) -> None:
    away = CloudRunDriver(CloudApi("Google Cloud Run", "http://127.0.0.1:1", lambda: TOKEN), Poller(clock.pause, clock))
    with pytest.raises(InfrastructureNotAvailable, match="Google Cloud Run cannot be reached"):
        away.launch(job())
