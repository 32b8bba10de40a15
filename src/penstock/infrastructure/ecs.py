"""The driver of Amazon ECS: each run a task of its own, known by its launch's key (`startedBy`).

Law: what is secret (an API key) is given to a task when it is started, and is in no task definition. ECS remembers a
task that has ended for about an hour; after that it is gone, and nothing is known of its end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from ..domain.errors import (
    InfrastructureError,
    InfrastructureNotAvailable,
    InfrastructureNotFound,
    InfrastructureRefused,
)
from ..domain.launches import Place
from ..domain.stops import GONE, KILLED, RETURNED
from .contract import Ended, Job, Stopped, one_line
from .ecs_template import ECS_TEMPLATE
from .polling import Poller
from .subprocesses import LAST_LINES, explained

Json = dict[str, Any]

HASH = "penstock:hash"
LOG_PREFIX = "penstock"
# How long a task may take to be stopped beyond its own stop timeout.
STOP_SECONDS = 180.0
_AWAY = frozenset(
    {
        "ThrottlingException", "Throttling", "TooManyRequestsException", "ServerException", "ServiceUnavailable",
        "InternalFailure", "RequestLimitExceeded", "ExpiredTokenException", "LimitExceededException",
    }
)  # fmt: skip
_MEMORY = "OutOfMemory"


class EcsDriver:
    """Launches runs as tasks of ECS clusters, by the credentials that boto3 finds."""

    type = "ecs"
    base_job_template: Json = ECS_TEMPLATE

    def __init__(self, poller: Poller | None = None) -> None:
        self._poller = poller or Poller()
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._account: str | None = None
        self._logs: dict[str, tuple[str, str] | None] = {}
        self._read: dict[str, str] = {}

    def scope(self) -> str:
        return self._scope(None)

    def _scope(self, region: str | None) -> str:
        if self._account is None:
            with _told("get the caller's identity", "sts:GetCallerIdentity"):
                self._account = str(self._client("sts", region).get_caller_identity()["Account"])
        return f"aws:{self._account}:{region or self._client('ecs', None).meta.region_name}"

    # --- launching ---------------------------------------------------------------------------------------------------

    def launch(self, job: Job) -> Place:
        configuration = job.configuration
        region, cluster = configuration.get("region"), str(configuration.get("cluster") or "default")
        scope, ecs = self._scope(region), self._client("ecs", region)
        there = self._found(ecs, cluster, job.key)
        if there is not None:
            return Place(self.type, scope, there)
        definition = configuration.get("task_definition_arn") or self._definition(ecs, configuration)
        container: Json = {
            "name": configuration.get("container_name") or "penstock",
            "command": list(job.command),
            "environment": [
                {"name": name, "value": value}
                for name, value in ({**(configuration.get("env") or {}), **job.env}).items()
            ],
        }
        request: Json = {
            "cluster": cluster,
            "taskDefinition": definition,
            "count": 1,
            "startedBy": job.key[:36],
            "clientToken": job.key[:64],
            "overrides": {"containerOverrides": [container]},
            "tags": [{"key": key[:128], "value": value[:256]} for key, value in job.labels.items()],
        }
        request |= self._placed(configuration, region)
        with _told(f"run a task in cluster {cluster!r}", "ecs:RunTask"):
            answer = ecs.run_task(**request)
        if not answer.get("tasks"):
            failure = (answer.get("failures") or [{}])[0]
            said = f"{failure.get('reason') or 'no reason given'} {failure.get('detail') or ''}".strip()
            kind = InfrastructureNotAvailable if said.startswith(("RESOURCE", "AGENT")) else InfrastructureRefused
            raise kind(f"Cluster {cluster!r} takes no task: {said}.")
        return Place(self.type, scope, str(answer["tasks"][0]["taskArn"]))

    def _found(self, ecs: Any, cluster: str, key: str) -> str | None:
        for status in ("RUNNING", "STOPPED"):
            with _told(f"list the tasks of cluster {cluster!r}", "ecs:ListTasks"):
                found = ecs.list_tasks(cluster=cluster, startedBy=key[:36], desiredStatus=status)["taskArns"]
            if found:
                return str(found[0])
        return None

    def _definition(self, ecs: Any, configuration: Json) -> str:
        """The newest definition of the family where it is the same, else a new one."""
        wanted = definition_of(configuration)
        mark = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:32]
        try:
            with _told("read a task definition", "ecs:DescribeTaskDefinition"):
                found = ecs.describe_task_definition(taskDefinition=wanted["family"], include=["TAGS"])
            if {"key": HASH, "value": mark} in (found.get("tags") or []):
                return str(found["taskDefinition"]["taskDefinitionArn"])
        except (InfrastructureNotFound, InfrastructureRefused):  # there is none of this family yet
            pass
        with _told("register a task definition", "ecs:RegisterTaskDefinition"):
            made = ecs.register_task_definition(**wanted, tags=[{"key": HASH, "value": mark}])
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def _placed(self, configuration: Json, region: str | None) -> Json:
        """What it runs on, and in which network."""
        type_ = str(configuration.get("launch_type") or "FARGATE")
        found: Json = {"launchType": type_}
        if type_ == "FARGATE_SPOT":
            found = {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}
        if not type_.startswith("FARGATE") and not configuration.get("subnets"):
            return found
        network: Json = {
            "subnets": list(configuration.get("subnets") or []) or self._subnets(configuration.get("vpc_id"), region),
            "securityGroups": list(configuration.get("security_groups") or []),
        }
        if type_.startswith("FARGATE"):
            network["assignPublicIp"] = "ENABLED" if configuration.get("assign_public_ip", True) else "DISABLED"
        return {**found, "networkConfiguration": {"awsvpcConfiguration": network}}

    def _subnets(self, vpc: str | None, region: str | None) -> list[str]:
        ec2 = self._client("ec2", region)
        if vpc is None:
            with _told("find the default VPC", "ec2:DescribeVpcs"):
                found = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"]
            if not found:
                raise InfrastructureRefused("There is no default VPC: set `subnets`, or `vpc_id`.")
            vpc = str(found[0]["VpcId"])
        with _told(f"list the subnets of {vpc}", "ec2:DescribeSubnets"):
            subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
        if not subnets:
            raise InfrastructureRefused(f"VPC {vpc} has no subnets: set `subnets`.")
        return [str(each["SubnetId"]) for each in subnets][:16]

    # --- watching ----------------------------------------------------------------------------------------------------

    def wait(self, place: Place, timeout: float, line: Callable[[str], None] | None = None) -> Ended | None:
        def look() -> Ended | None:
            task = self._task(place)
            if line is not None and task is not None:
                for each in self._lines(place, task):
                    line(each)
            if task is None:
                return Ended(None, "ECS does not know its task any more", gone=True)
            return self._ended(place, task) if task["lastStatus"] == "STOPPED" else None

        return self._poller.until(look, timeout)

    def _ended(self, place: Place, task: Json) -> Ended:
        container = _container(task)
        code = container.get("exitCode")
        reason, said = str(container.get("reason") or ""), str(task.get("stoppedReason") or "")
        why = None if code is None else explained(int(code))
        if _MEMORY in reason or _MEMORY in said:
            why = "killed by the kernel: out of memory"
        elif "CannotPull" in reason + said:
            why = f"image {container.get('image')!r} could not be pulled: {reason or said}"
        elif reason:
            why = reason
        elif code is None or task.get("stopCode") in ("SpotInterruption", "TerminationNotice", "TaskFailedToStart"):
            why = said or why
        return Ended(None if code is None else int(code), why, tuple(self._last_lines(place, task)))

    def started(self, place: Place) -> datetime | None:
        task = self._task(place)
        return None if task is None else task.get("startedAt")

    def problem(self, place: Place) -> str | None:
        task = self._task(place)
        if task is None or task["lastStatus"] not in ("PROVISIONING", "PENDING"):
            return None
        reason = _container(task).get("reason") or task.get("stoppedReason")
        return None if not reason else f"The task does not begin: {reason}."

    def _task(self, place: Place) -> Json | None:
        cluster = _cluster_of(place)
        with _told("look at a task", "ecs:DescribeTasks"):
            answer = self._ecs(place).describe_tasks(cluster=cluster, tasks=[place.id])
        found: list[Json] = answer.get("tasks") or []
        return found[0] if found else None

    # --- what it writes ----------------------------------------------------------------------------------------------

    def _lines(self, place: Place, task: Json) -> Iterator[str]:
        """Those that were not given before."""
        where = self._log_of(place, task)
        if where is None:
            return
        group, stream = where
        logs = self._client("logs", _region_of(place))
        while True:
            token = self._read.get(place.id)
            more = {} if token is None else {"nextToken": token}
            try:
                with _told("read a log", "logs:GetLogEvents"):
                    answer = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
            except InfrastructureError:  # there is nothing yet, or no right to read it: the run goes on all the same
                return
            for event in answer["events"]:
                yield str(event["message"])
            self._read[place.id] = answer["nextForwardToken"]
            if not answer["events"] or answer["nextForwardToken"] == token:
                return

    def _last_lines(self, place: Place, task: Json) -> list[str]:
        where = self._log_of(place, task)
        if where is None:
            return []
        with contextlib.suppress(InfrastructureError), _told("read a log", "logs:GetLogEvents"):
            answer = self._client("logs", _region_of(place)).get_log_events(
                logGroupName=where[0], logStreamName=where[1], limit=LAST_LINES, startFromHead=False
            )
            return [str(event["message"]) for event in answer["events"]]
        return []

    def _log_of(self, place: Place, task: Json) -> tuple[str, str] | None:
        """The group and the stream of its log; None where it has none."""
        if place.id not in self._logs:
            found = None
            with (
                contextlib.suppress(InfrastructureError),
                _told("read a task definition", "ecs:DescribeTaskDefinition"),
            ):
                answer = self._ecs(place).describe_task_definition(taskDefinition=task["taskDefinitionArn"])
                for each in answer["taskDefinition"]["containerDefinitions"]:
                    options = (each.get("logConfiguration") or {}).get("options") or {}
                    if "awslogs-group" in options and "awslogs-stream-prefix" in options:
                        id = place.id.rpartition("/")[2]
                        found = options["awslogs-group"], f"{options['awslogs-stream-prefix']}/{each['name']}/{id}"
            self._logs[place.id] = found
        return self._logs[place.id]

    # --- ending ------------------------------------------------------------------------------------------------------

    def stop(self, place: Place, grace: float) -> Stopped:
        began = self._poller.clock()
        task = self._task(place)
        if task is None or task["lastStatus"] == "STOPPED":
            ended = Ended(gone=True) if task is None else self._ended(place, task)
            return Stopped(GONE, ended, self._poller.clock() - began)
        with _told("stop a task", "ecs:StopTask"):
            self._ecs(place).stop_task(cluster=_cluster_of(place), task=place.id, reason="Penstock: its run is ended.")
        ended_then = self.wait(place, max(grace, 120.0) + STOP_SECONDS)
        if ended_then is None:
            raise InfrastructureError(f"Task {place.id} was told to stop, and has not stopped.")
        how = KILLED if ended_then.code == 137 else RETURNED
        return Stopped(how, ended_then, self._poller.clock() - began)

    def by_hand(self, place: Place) -> str:
        return f"aws ecs stop-task --region {_region_of(place)} --cluster {_cluster_of(place)} --task {place.id}"

    def forget(self, place: Place) -> None:
        self._logs.pop(place.id, None)
        self._read.pop(place.id, None)

    # --- clients -----------------------------------------------------------------------------------------------------

    def _ecs(self, place: Place) -> Any:
        return self._client("ecs", _region_of(place))

    def _client(self, service: str, region: str | None) -> Any:
        try:
            import boto3
        except ImportError:
            raise InfrastructureRefused(
                "ECS is reached by a package that is not installed: pip install 'penstock[ecs]'."
            ) from None
        with self._lock:  # making one is not safe in several threads; using one is
            if (service, region) not in self._clients:
                with _told(f"reach {service}", f"{service}:*"):
                    self._clients[service, region] = boto3.client(service, region_name=region)
            return self._clients[service, region]


@contextlib.contextmanager
def _told(what: str, right: str) -> Iterator[None]:
    """What the vendor's client raises, as our own."""
    import botocore.exceptions as raised

    try:
        yield
    except raised.ClientError as error:
        about = error.response.get("Error") or {}
        code, said = str(about.get("Code") or ""), one_line(about.get("Message") or "", 500)
        if "AccessDenied" in code or "UnauthorizedOperation" in code:
            raise InfrastructureRefused(f"The worker may not {what}: allow {right} in its policy. {said}") from None
        if code in _AWAY:
            raise InfrastructureNotAvailable(f"AWS could not {what} now: {code}: {said}") from None
        if "NotFound" in code:
            raise InfrastructureNotFound(f"AWS cannot {what}: {code}: {said}") from None
        raise InfrastructureRefused(f"AWS refused to {what}: {code}: {said}") from None
    except (raised.NoCredentialsError, raised.NoRegionError, raised.ProfileNotFound) as error:
        raise InfrastructureRefused(
            f"AWS cannot be asked to {what}: {error} (AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_REGION, or the worker's role)"
        ) from None
    except raised.BotoCoreError as error:
        if isinstance(error, raised.ParamValidationError):
            raise InfrastructureRefused(f"AWS cannot {what}: {one_line(error, 500)}") from None
        raise InfrastructureNotAvailable(f"AWS could not {what}: {one_line(error)}") from None


def definition_of(configuration: Json) -> Json:
    """A task definition for these variables; nothing of a run is in it."""
    image = configuration.get("image")
    if not image:
        raise InfrastructureRefused("The job names no image: set `image`, or `task_definition_arn`.")
    fargate = str(configuration.get("launch_type") or "FARGATE").startswith("FARGATE")
    container: Json = {
        "name": configuration.get("container_name") or "penstock",
        "image": image,
        "essential": True,
        "memory": int(configuration.get("memory") or 2048),
        "stopTimeout": min(120, int(configuration.get("stop_timeout") or 30)),
    }
    if configuration.get("configure_cloudwatch_logs"):
        if not configuration.get("execution_role_arn"):
            raise InfrastructureRefused("`configure_cloudwatch_logs` needs `execution_role_arn`, which writes the log.")
        options = {
            "awslogs-create-group": "true",
            "awslogs-group": str(configuration.get("cloudwatch_logs_group") or "penstock"),
            "awslogs-stream-prefix": LOG_PREFIX,
        }
        if configuration.get("region"):
            options["awslogs-region"] = str(configuration["region"])
        container["logConfiguration"] = {"logDriver": "awslogs", "options": options}
    made: Json = {
        "family": str(configuration.get("family") or "penstock"),
        "containerDefinitions": [container],
        "cpu": str(configuration.get("cpu") or 1024),
        "memory": str(configuration.get("memory") or 2048),
        "requiresCompatibilities": ["FARGATE" if fargate else str(configuration["launch_type"])],
    }
    if fargate or configuration.get("subnets"):
        made["networkMode"] = "awsvpc"
    for name, field in (("execution_role_arn", "executionRoleArn"), ("task_role_arn", "taskRoleArn")):
        if configuration.get(name):
            made[field] = configuration[name]
    return made


def _container(task: Json) -> Json:
    """The one that executes the run: the only one, or the one that has ended."""
    containers: list[Json] = task.get("containers") or [{}]
    return next((each for each in containers if each.get("exitCode") or each.get("reason")), containers[0])


def _region_of(place: Place) -> str:
    return place.scope.rpartition(":")[2]


def _cluster_of(place: Place) -> str:
    parts = place.id.split("/")
    if len(parts) != 3 or not place.id.startswith("arn:"):
        raise InfrastructureError(f"{place.id!r} names no task of ECS.")
    return parts[1]
