"""The driver of Amazon ECS, against moto, which has the API of AWS and runs nothing: what becomes of a task is set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import botocore.exceptions
import pytest
from moto import mock_aws
from moto.ecs.models import ecs_backends

from penstock.domain import templates
from penstock.domain.launches import Place
from penstock.exceptions import InfrastructureError, InfrastructureNotAvailable, InfrastructureRefused
from penstock.infrastructure.contract import Job
from penstock.infrastructure.ecs import EcsDriver, definition_of
from penstock.infrastructure.ecs_template import ECS_TEMPLATE
from penstock.infrastructure.polling import Poller

from .vendor_api import Clock

SECRET = "pst_very-secret"
ROLE = "arn:aws:iam::123456789012:role/logs"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "y"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        made = boto3.client("ecs")
        made.create_cluster(clusterName="default")
        yield made


@pytest.fixture
def driver(clock: Clock) -> EcsDriver:
    return EcsDriver(Poller(clock.pause, clock))


def job(key: str | None = None, **variables: Any) -> Job:
    configuration = templates.filled(ECS_TEMPLATE, {"image": "team/etl:7", **variables}, of="the test")
    return Job(
        name="exam", key=key or f"{uuid4().hex}-1", command=("python", "-c", "x"), env={"PENSTOCK_API_KEY": SECRET},
        labels={"penstock.flow-run-id": "7"}, configuration=configuration,
    )  # fmt: skip


def task_of(place: Place) -> Any:
    return ecs_backends["123456789012"]["eu-west-1"].tasks["default"][place.id]


def end(place: Place, code: int | None, stopped: str = "", reason: str | None = None, why: str | None = None) -> None:
    """As ECS has it when a task has stopped."""
    task = task_of(place)
    task._status, task._transitions, task.stopped_reason = "STOPPED", [], stopped
    task.containers[0].exitCode = code
    if reason is not None:
        task.containers[0].reason = reason
    if why is not None:
        task.stop_code = why


def test_a_task_has_its_command_its_environment_and_its_tags(driver: EcsDriver, aws: Any) -> None:
    place = driver.launch(job(cpu=512, memory=1024))
    assert (place.type, place.scope) == ("ecs", "aws:123456789012:eu-west-1")
    task = task_of(place)
    (over,) = task.overrides["containerOverrides"]
    assert (over["name"], over["command"]) == ("penstock", ["python", "-c", "x"])
    assert over["environment"] == [{"name": "PENSTOCK_API_KEY", "value": SECRET}]
    assert task.tags == [{"key": "penstock.flow-run-id", "value": "7"}]
    network = task.network_configuration["awsvpcConfiguration"]
    assert (bool(network["subnets"]), network["assignPublicIp"]) == (True, "ENABLED")
    made = aws.describe_task_definition(taskDefinition=task.task_definition_arn)["taskDefinition"]
    assert (made["cpu"], made["memory"], made["networkMode"]) == ("512", "1024", "awsvpc")
    assert made["containerDefinitions"][0]["image"] == "team/etl:7"


def test_a_key_is_in_no_task_definition(driver: EcsDriver, aws: Any) -> None:
    driver.launch(job())
    found = [
        aws.describe_task_definition(taskDefinition=arn) for arn in aws.list_task_definitions()["taskDefinitionArns"]
    ]
    assert found
    assert SECRET not in repr(found)


def test_a_definition_is_made_once_for_what_is_the_same(driver: EcsDriver, aws: Any) -> None:
    for variables in ({}, {}, {"image": "other"}, {"image": "other"}):
        driver.launch(job(**variables))
    assert len(aws.list_task_definitions()["taskDefinitionArns"]) == 2


def test_the_same_job_is_launched_once_also_by_another_worker(driver: EcsDriver, clock: Clock) -> None:
    wanted = job()
    place = driver.launch(wanted)
    assert driver.launch(wanted) == place
    assert EcsDriver(Poller(clock.pause, clock)).launch(wanted) == place


def test_a_task_that_goes_on_is_looked_at_less_and_less_often(driver: EcsDriver, clock: Clock) -> None:
    place = driver.launch(job())
    task_of(place)._transitions = []
    assert driver.wait(place, 60.0) is None
    assert clock.now == 60.0
    assert (clock.pauses[0], max(clock.pauses)) == (0.5, 5.0)


@pytest.mark.parametrize(
    ("code", "stopped", "reason", "said"),
    [
        (0, "Essential container in task exited", None, None),
        (3, "Essential container in task exited", None, None),
        (137, "", "OutOfMemoryError: Container killed due to memory usage", "killed by the kernel: out of memory"),
        (None, "CannotPullContainerError: manifest unknown", None, "image 'team/etl:7' could not be pulled"),
        (None, "Your Spot Task was interrupted.", None, "Your Spot Task was interrupted."),
        (139, "", None, "killed by SIGSEGV"),
    ],
)
def test_how_a_task_ended_is_said(
    driver: EcsDriver, code: int | None, stopped: str, reason: str | None, said: str | None
) -> None:
    place = driver.launch(job())
    end(place, code, stopped, reason)
    answer = driver._ecs(place).describe_tasks
    # (moto leaves out what it has no field for.)
    real = answer(cluster="default", tasks=[place.id])["tasks"][0]
    container = {**real["containers"][0], "image": "team/etl:7"}
    container.pop("exitCode", None)
    if code is not None:
        container["exitCode"] = code
    if reason is not None:
        container["reason"] = reason
    ended = driver._ended(place, {**real, "stoppedReason": stopped, "containers": [container]})
    assert ended.code == code
    assert (ended.why is None) if said is None else (said in (ended.why or ""))


def test_its_end_is_seen(driver: EcsDriver, clock: Clock) -> None:
    place = driver.launch(job())
    task_of(place)._transitions = []
    clock.then = lambda: end(place, 3)
    ended = driver.wait(place, 60.0)
    assert ended is not None
    assert ended.code == 3


def test_what_is_written_to_cloudwatch_is_given_line_by_line_once(driver: EcsDriver, clock: Clock) -> None:
    place = driver.launch(job(configure_cloudwatch_logs=True, execution_role_arn=ROLE))
    task_of(place)._transitions = []
    logs, stream = boto3.client("logs"), f"penstock/penstock/{place.id.rpartition('/')[2]}"
    lines: list[str] = []
    assert driver.wait(place, 0.1, lines.append) is None  # there is no log yet
    logs.create_log_group(logGroupName="penstock")
    logs.create_log_stream(logGroupName="penstock", logStreamName=stream)

    def write(number: int) -> None:
        at = int(time.time() * 1000) + number  # CloudWatch takes nothing that is old
        logs.put_log_events(
            logGroupName="penstock", logStreamName=stream, logEvents=[{"timestamp": at, "message": f"line {number}"}]
        )

    write(1)
    assert driver.wait(place, 0.1, lines.append) is None
    write(2)
    end(place, 1)
    ended = driver.wait(place, 10, lines.append)
    assert lines == ["line 1", "line 2"]
    assert ended is not None
    assert ended.lines == ("line 1", "line 2")
    driver.forget(place)


def test_a_task_is_stopped_and_it_is_said_whether_it_was_killed(driver: EcsDriver) -> None:
    place = driver.launch(job())
    assert driver.stop(place, 5).how == "returned"
    assert driver.stop(place, 5).how == "gone"
    place = driver.launch(job())
    task_of(place).containers[0].exitCode = 137
    assert driver.stop(place, 5).how == "killed"


def test_a_task_that_does_not_stop_is_told_to_go_on(driver: EcsDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    place = driver.launch(job())
    task_of(place)._transitions = []
    monkeypatch.setattr(driver._ecs(place), "stop_task", lambda **_: {})
    with pytest.raises(InfrastructureError, match="was told to stop, and has not stopped"):
        driver.stop(place, 1)


def test_a_task_that_ecs_has_forgotten_is_gone(driver: EcsDriver) -> None:
    place = driver.launch(job())
    gone = Place(place.type, place.scope, f"{place.id[:-4]}0000")
    ended = driver.wait(gone, 1)
    assert ended is not None
    assert (ended.gone, driver.stop(gone, 1).how) == (True, "gone")


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("AccessDeniedException", InfrastructureRefused, "may not run a task in cluster 'default': allow ecs:RunTask"),
        ("ThrottlingException", InfrastructureNotAvailable, "could not run a task"),
        ("ServerException", InfrastructureNotAvailable, "could not run a task"),
        ("InvalidParameterException", InfrastructureRefused, "refused to run a task"),
    ],
)
def test_what_aws_refuses_is_told_with_the_right_that_is_missing(
    driver: EcsDriver, monkeypatch: pytest.MonkeyPatch, code: str, error: type[Exception], said: str
) -> None:
    def refuse(**_: Any) -> None:
        raise botocore.exceptions.ClientError({"Error": {"Code": code, "Message": "because"}}, "RunTask")

    monkeypatch.setattr(driver._client("ecs", None), "run_task", refuse)
    with pytest.raises(error, match=said):
        driver.launch(job())


def test_a_cluster_without_room_may_have_some_later(driver: EcsDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [{"tasks": [], "failures": [{"reason": "RESOURCE:MEMORY"}]}, {"tasks": [], "failures": []}]
    monkeypatch.setattr(driver._client("ecs", None), "run_task", lambda **_: answers.pop(0))
    with pytest.raises(InfrastructureNotAvailable, match="takes no task: RESOURCE:MEMORY"):
        driver.launch(job())
    with pytest.raises(InfrastructureRefused, match="no reason given"):
        driver.launch(job())


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"image": None}, "names no image"),
        ({"configure_cloudwatch_logs": True}, "needs `execution_role_arn`"),
        ({"cluster": "nowhere"}, "Cluster"),
        ({"vpc_id": "vpc-0"}, "has no subnets"),
    ],
)
def test_what_cannot_be_launched_is_refused(driver: EcsDriver, variables: dict[str, Any], said: str) -> None:
    with pytest.raises(InfrastructureError, match=said):
        driver.launch(job(**variables))


def test_ids_of_nothing_are_refused_and_a_person_is_told_the_command(driver: EcsDriver) -> None:
    with pytest.raises(InfrastructureError, match="names no task"):
        driver.stop(Place("ecs", driver.scope(), "x"), 0)
    place = driver.launch(job())
    assert driver.by_hand(place) == f"aws ecs stop-task --region eu-west-1 --cluster default --task {place.id}"


def test_a_definition_is_for_what_it_runs_on() -> None:
    made = definition_of({"image": "i", "launch_type": "EC2", "task_role_arn": "r", "stop_timeout": 900})
    assert (made["requiresCompatibilities"], made["taskRoleArn"], "networkMode" in made) == (["EC2"], "r", False)
    assert made["containerDefinitions"][0]["stopTimeout"] == 120
