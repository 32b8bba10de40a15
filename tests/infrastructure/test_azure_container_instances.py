"""The driver of Azure Container Instances, against an API with the shapes that its reference documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from penstock.domain import templates
from penstock.domain.launches import Place
from penstock.exceptions import InfrastructureError, InfrastructureNotAvailable, InfrastructureRefused
from penstock.infrastructure.azure_container_instances import AzureContainerInstancesDriver
from penstock.infrastructure.cloud_rest import CloudApi
from penstock.infrastructure.contract import Job
from penstock.infrastructure.polling import Poller

from .vendor_api import TOKEN, Asked, Clock, Json, Vendor, serving

SECRET = "pst_very-secret"
FOLDER = "/subscriptions/sub/resourceGroups/team/providers/Microsoft.ContainerInstance/containerGroups"


class Azure:
    """Container groups; what becomes of one is set."""

    def __init__(self) -> None:
        self.groups: dict[str, Json] = {}
        self.log = ""
        self.code = 0
        self.refuse: tuple[int, Json] | None = None

    def __call__(self, asked: Asked) -> tuple[int, Json]:
        if asked.query != {"api-version": "2023-05-01"} and "tail" not in asked.query:
            return 400, {"error": {"code": "MissingApiVersion", "message": "which version"}}
        if self.refuse is not None:
            return self.refuse
        if not asked.path.startswith(FOLDER):
            return 404, {"error": {"code": "ResourceGroupNotFound", "message": "no such group"}}
        name, _, below = asked.path.removeprefix(f"{FOLDER}/").partition("/")
        if asked.method == "PUT":
            self.groups[name] = asked.body or {}
            return 201, self.groups[name]
        if name not in self.groups:
            return 404, {"error": {"code": "ResourceNotFound", "message": "not found"}}
        if asked.method == "DELETE":
            return 200, self.groups.pop(name)
        if below == "stop":
            self.end(name, self.code)
        if below.endswith("logs"):
            return 200, {"content": self.log}
        return 200, self.groups[name]

    def view(self, name: str, **view: Any) -> None:
        self.groups[name]["properties"]["containers"][0]["properties"]["instanceView"] = view

    def end(self, name: str, code: int | None, detail: str = "Error") -> None:
        state = {
            "state": "Terminated", "exitCode": code, "detailStatus": detail, "startTime": "2026-11-26T10:00:00.1Z",
        }  # fmt: skip
        self.view(name, currentState=state)


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Azure:
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "sub")
    monkeypatch.setenv("AZURE_RESOURCE_GROUP", "team")
    return Azure()


@pytest.fixture
def vendor(azure: Azure) -> Iterator[Vendor]:
    yield from serving(azure)


@pytest.fixture
def driver(vendor: Vendor, clock: Clock) -> AzureContainerInstancesDriver:
    return AzureContainerInstancesDriver(CloudApi("Azure", vendor.url, lambda: TOKEN), Poller(clock.pause, clock))


def job(key: str | None = None, **variables: Any) -> Job:
    template = AzureContainerInstancesDriver.base_job_template
    filled = templates.filled(template, {"image": "team/etl:7", **variables}, of="the test")
    return Job(
        name="An exam", key=key or f"{uuid4().hex}-1", command=("python", "-c", "x"),
        env={"PENSTOCK_API_KEY": SECRET}, labels={"penstock.flow-run-id": "7"}, configuration=filled,
    )  # fmt: skip


def test_a_group_is_what_its_variables_say_and_shows_no_key(
    driver: AzureContainerInstancesDriver, azure: Azure
) -> None:
    registry = {"server": "team.azurecr.io", "identity": "/id"}
    place = driver.launch(job(cpu=2, memory=4, subnet_ids=["/net"], identities=["/id"], image_registry=registry))
    assert (place.type, place.scope) == ("azure-container-instances", "azure:sub:team")
    made = azure.groups[place.id]
    container = made["properties"]["containers"][0]["properties"]
    assert container["resources"] == {"requests": {"cpu": 2.0, "memoryInGB": 4.0}}
    assert container["command"] == ["python", "-c", "x"]
    assert container["environmentVariables"] == [{"name": "PENSTOCK_API_KEY", "secureValue": SECRET}]
    assert (made["properties"]["restartPolicy"], made["properties"]["subnetIds"]) == ("Never", [{"id": "/net"}])
    assert made["properties"]["imageRegistryCredentials"] == [registry]
    assert made["identity"]["userAssignedIdentities"] == {"/id": {}}
    assert made["tags"] == {"penstock.flow-run-id": "7", "penstock.keep": "false"}


def test_the_same_job_is_launched_once(driver: AzureContainerInstancesDriver, vendor: Vendor) -> None:
    wanted = job()
    assert driver.launch(wanted) == driver.launch(wanted)
    assert len([each for each in vendor.asked if each.method == "PUT"]) == 1


@pytest.mark.parametrize(
    ("code", "detail", "said"),
    [
        (0, "Completed", None),
        (3, "Error", None),
        (137, "OOMKilled", "killed by the kernel: out of memory"),
        (139, "Error", "SIGSEGV"),
        (None, "ImagePullFailure", "ImagePullFailure"),
    ],
)
def test_how_a_group_ended_is_said_with_its_last_lines(
    driver: AzureContainerInstancesDriver, azure: Azure, code: int | None, detail: str, said: str | None
) -> None:
    place = driver.launch(job())
    azure.log = "".join(f"line {number}\n" for number in range(40))
    azure.end(place.id, code, detail)
    ended = driver.wait(place, 1)
    assert ended is not None
    assert ended.code == code
    assert (ended.why is None) if said is None else (said in (ended.why or ""))
    assert (ended.lines[0], ended.lines[-1]) == ("line 20", "line 39")


def test_its_lines_are_given_once_each(driver: AzureContainerInstancesDriver, azure: Azure) -> None:
    place = driver.launch(job())
    azure.view(place.id, currentState={"state": "Running", "startTime": "2026-11-26T10:00:00Z"})
    lines: list[str] = []
    azure.log = "one\n"
    assert driver.wait(place, 1, lines.append) is None
    azure.log = "one\ntwo\n"
    azure.end(place.id, 0)
    driver.wait(place, 1, lines.append)
    assert lines == ["one", "two"]
    assert driver.started(place) is not None


def test_what_keeps_it_from_beginning_is_said(driver: AzureContainerInstancesDriver, azure: Azure) -> None:
    place = driver.launch(job())
    azure.view(place.id, currentState={"state": "Waiting"}, events=[
        {"type": "Normal", "message": "Pulling"},
        {"type": "Warning", "message": "Failed to pull image 'team/etl:7'.", "lastTimestamp": "2"},
    ])  # fmt: skip
    assert driver.problem(place) == "Failed to pull image 'team/etl:7'."
    assert driver.wait(place, 5) is None
    azure.groups[place.id]["properties"]["provisioningState"] = "Failed"
    ended = driver.wait(place, 5)
    assert ended is not None
    assert ended.why == "Failed to pull image 'team/etl:7'."


@pytest.mark.parametrize(("code", "how"), [(143, "returned"), (137, "killed")])
def test_it_is_stopped_also_by_another_worker(
    driver: AzureContainerInstancesDriver, vendor: Vendor, azure: Azure, code: int, how: str
) -> None:
    place = driver.launch(job())
    azure.code = code
    other = AzureContainerInstancesDriver(CloudApi("Azure", vendor.url, lambda: TOKEN))
    assert other.stop(place, 5).how == how
    assert driver.stop(place, 5).how == "gone"


def test_one_that_does_not_stop_is_told_to_go_on(
    driver: AzureContainerInstancesDriver, azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = driver.launch(job())
    monkeypatch.setattr(azure, "end", lambda *_: None)
    with pytest.raises(InfrastructureError, match="was told to stop, and has not stopped"):
        driver.stop(place, 1)


def test_what_has_ended_is_deleted_unless_it_is_to_stay(driver: AzureContainerInstancesDriver, azure: Azure) -> None:
    driver.forget(driver.launch(job()))
    kept = driver.launch(job(keep_container_group=True))
    driver.forget(kept)
    assert list(azure.groups) == [kept.id]


def test_one_that_somebody_deleted_is_gone(driver: AzureContainerInstancesDriver, azure: Azure) -> None:
    place = driver.launch(job())
    azure.groups.clear()
    ended = driver.wait(place, 1)
    assert ended is not None
    assert (ended.gone, driver.stop(place, 1).how) == (True, "gone")
    driver.forget(place)


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (403, InfrastructureRefused, "it needs Microsoft.ContainerInstance/containerGroups/read"),
        (429, InfrastructureNotAvailable, "could not do it now"),
        (400, InfrastructureRefused, "because"),
    ],
)
def test_what_azure_refuses_is_told_with_the_right_that_is_missing(
    driver: AzureContainerInstancesDriver, azure: Azure, status: int, error: type[Exception], said: str
) -> None:
    azure.refuse = status, {"error": {"code": "Why", "message": "because"}}
    with pytest.raises(error, match=said):
        driver.launch(job())


def test_bad_ids_and_missing_places_are_refused(
    driver: AzureContainerInstancesDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InfrastructureError, match="names no container group"):
        driver.stop(Place("azure-container-instances", driver.scope(), "../x"), 0)
    with pytest.raises(InfrastructureRefused, match="no such group"):
        driver.launch(job(resource_group_name="nowhere"))
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")
    with pytest.raises(InfrastructureRefused, match="which subscription"):
        driver.launch(job())


def test_a_person_is_told_the_command(driver: AzureContainerInstancesDriver) -> None:
    place = driver.launch(job())
    assert driver.by_hand(place) == f"az container stop --subscription sub --resource-group team --name {place.id}"
