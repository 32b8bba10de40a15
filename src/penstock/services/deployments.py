"""Deployments: applied, read, changed and deleted, and the runs that are made of them by hand.

Law: bad input changes nothing. A run keeps what its deployment was when it was made; so what is changed here is for the
runs to come.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec
from msgspec import UNSET

from ..domain import concurrency_keys, names, schedule_times
from ..domain.deployments import Deployment
from ..domain.errors import DeploymentError, ObjectNotFound, ParameterError, SchemaError
from ..domain.ids import flow_id, uuid7
from ..domain.runs import FlowRun
from ..domain.schedules import DeploymentSchedule
from ..domain.trace_context import TRACEPARENT, TRACESTATE, trace_of
from ..domain.variables import checked_tags
from ..protocol import deployments as asked
from ..protocol.deployments import Applied, ApplyDeployment, CreateRun, ScheduleGiven, UpdateDeployment
from ..store import deployments, flow_runs, lanes, launches, schedules, work_pools
from ..store.contract import Store, Tx
from . import launching, running, scheduling, schemas
from .work_pools import given, need_queue

_RUNS = UUID("0c2a4c4b-1f6e-5a55-9d8d-5f1c7f0a4e11")
# What is not compared to say what a change changes.
_ITS_OWN = ("id", "created", "updated", "revision", "schedules", "last_polled")


def apply(store: Store, wanted: ApplyDeployment, now: datetime) -> Applied:
    """Raises `DeploymentError`, `ScheduleError`, `ParameterError`, `ConcurrencyError` for a key or a rate, or
    `ObjectNotFound` for a pool or a queue."""
    _check(wanted)
    with store.write() as tx:
        _check_pool(tx, wanted.work_pool, wanted.work_queue)
        there = deployments.by_name(tx, wanted.flow_name, wanted.name)
        fields = msgspec.structs.asdict(wanted)
        for name in ("dry_run", "schedules"):
            del fields[name]
        if wanted.paused is UNSET:
            fields["paused"] = there is not None and there.paused
        deployment = Deployment(
            id=_new_id(now) if there is None else there.id,
            flow_id=flow_id(wanted.flow_name),
            created=now if there is None else there.created,
            updated=now,
            schedules=() if there is None else there.schedules,
            **fields,
        )
        changes = {} if there is None else _changes(there, deployment)
        if there is not None:
            deployment.revision = there.revision + bool(changes)
            deployment.last_polled = there.last_polled
        if wanted.schedules is not UNSET:
            before, after = deployment.schedules, _schedules(deployment, wanted.schedules, now)
            if _shown(before) != _shown(after):
                changes["schedules"] = [_shown(before), _shown(after)]
            deployment.schedules = after
        if not wanted.dry_run:
            _put(tx, deployment, there, now)
    return Applied(deployment=deployment, created=there is None, changes=changes)


def _put(tx: Tx, deployment: Deployment, there: Deployment | None, now: datetime) -> None:
    flow_runs.put_flow(tx, deployment.flow_id, deployment.flow_name, now)
    deployments.put(tx, deployment)
    lanes.open_all(tx)  # its keys may be allowed more now
    old = {} if there is None else {each.id: each for each in there.schedules}
    for schedule in deployment.schedules:
        before = old.pop(schedule.id, None)
        if before is None or _given(before) != _given(schedule):
            scheduling.replan(tx, schedule, now)
    for gone in old:
        scheduling.take_back(tx, gone)
        schedules.delete(tx, gone)
    if there is not None and there.paused != deployment.paused:
        _replan_all(tx, deployment, now)


def _replan_all(tx: Tx, deployment: Deployment, now: datetime) -> None:
    for schedule in schedules.of(tx, deployment.id):
        scheduling.replan(tx, schedule, now)


def get(store: Store, id: UUID) -> Deployment:
    """Raises `ObjectNotFound`."""
    with store.read() as tx:
        return need(tx, id)


def by_name(store: Store, flow_name: str, name: str) -> Deployment:
    """Raises `ObjectNotFound`, with names that are near."""
    with store.read() as tx:
        found = deployments.by_name(tx, flow_name, name)
        if found is None:
            raise _not_found(tx, f"{flow_name}/{name}")
        return found


def find(store: Store, text: str) -> Deployment:
    """By its id, its full name, or its name where only one has it. Raises `ObjectNotFound` or `DeploymentError`."""
    with store.read() as tx:
        try:
            return need(tx, UUID(text))
        except ValueError:
            pass
        flow_name, slash, name = text.partition("/")
        if slash:
            found = deployments.by_name(tx, flow_name, name)
            if found is None:
                raise _not_found(tx, text)
            return found
        same = [each for each in deployments.select(tx, 1000) if each.name == text]
        if len(same) > 1:
            named = ", ".join(each.full_name for each in same[:5])
            raise DeploymentError(f"Several deployments are named {text!r}: {named}. Name the flow, too.")
        if not same:
            raise _not_found(tx, text)
        return same[0]


def need(tx: Tx, id: UUID) -> Deployment:
    found = deployments.get(tx, id)
    if found is None:
        raise ObjectNotFound(f"Deployment '{id}' not found!")
    return found


def update(store: Store, wanted: UpdateDeployment, now: datetime) -> Deployment:
    """Raises `ObjectNotFound`, `DeploymentError`, `ParameterError` or `ConcurrencyError`."""
    with store.write() as tx:
        there = need(tx, wanted.id)
        changed = msgspec.structs.replace(there, **given(wanted, "id"), updated=now)
        _check_pool(tx, changed.work_pool, changed.work_queue)
        checked_tags(changed.tags)
        check_parameters(changed, {}, whole=False)
        _check_keys(changed)
        changed.revision += bool(_changes(there, changed))
        deployments.put(tx, changed)
        lanes.open_all(tx)  # its keys may be allowed more now
        if there.paused != changed.paused:
            _replan_all(tx, changed, now)
        return need(tx, wanted.id)


def delete(store: Store, id: UUID, *, who: str, now: datetime) -> None:
    """Its runs that wait are cancelled; those that run go on. Raises `ObjectNotFound`."""
    with store.write() as tx:
        deployment = need(tx, id)
        message = f"Deployment {deployment.full_name!r} was deleted by {who}."
        for launch in launches.waiting_of(tx, "deployment_id", id.bytes):
            launching.cancel_waiting(tx, launch, who=who, now=now, message=message)
        deployments.delete(tx, id)


# --- runs ------------------------------------------------------------------------------------------------------------


def create_run(store: Store, wanted: CreateRun, now: datetime) -> FlowRun:
    """Raises `ObjectNotFound`, `ParameterError` for parameters that do not fit, `ConcurrencyError` for such a priority
    or key."""
    with store.write() as tx:
        deployment = need(tx, wanted.id)
        check_parameters(deployment, wanted.parameters, whole=True)
        concurrency_keys.check_priority(wanted.priority)
        concurrency_keys.check_key(wanted.concurrency_key)
        if wanted.work_queue is not None:
            if deployment.work_pool is None:
                raise DeploymentError(f"Deployment {deployment.full_name!r} is in no work pool, so it has no queues.")
            need_queue(tx, deployment.work_pool, wanted.work_queue)
        parent = None
        if wanted.parent_flow_run_id is not None:
            parent = flow_runs.get(tx, wanted.parent_flow_run_id)
        return running.create_run(
            tx,
            deployment,
            now=now,
            scheduled=now if wanted.scheduled_time is None else _aware(wanted.scheduled_time),
            parameters=wanted.parameters,
            id=None if wanted.idempotency_key is None else uuid5(_RUNS, f"{deployment.id} {wanted.idempotency_key}"),
            name=wanted.name,
            tags=checked_tags(wanted.tags),
            job_variables=wanted.job_variables,
            work_queue=wanted.work_queue,
            priority=wanted.priority,
            concurrency_key=wanted.concurrency_key,
            parent=parent,
            parent_task_run_id=wanted.parent_task_run_id,
            trace=trace_of({TRACEPARENT: wanted.traceparent, TRACESTATE: wanted.tracestate}),
        )


def check_parameters(deployment: Deployment, parameters: dict[str, Any], *, whole: bool) -> None:
    """Raises `ParameterError` where the parameters, over the deployment's own, do not fit its schema. `whole`: they are
    all that there will be; else those that are missing may come later."""
    schema = deployment.parameter_schema
    if not schema or not deployment.enforce_parameter_schema:
        return
    checked = dict(schema) if whole else {key: each for key, each in schema.items() if key != "required"}
    try:
        found = schemas.problems(checked, deployment.parameters | parameters, "parameters")
    except SchemaError as error:
        raise DeploymentError(f"The parameters of deployment {deployment.full_name!r}: {error}") from error
    if found:
        raise ParameterError(f"Parameters of deployment {deployment.full_name!r} do not fit: {'; '.join(found)}.")


# --- schedules -------------------------------------------------------------------------------------------------------


def add_schedule(store: Store, wanted: asked.AddSchedule, now: datetime) -> DeploymentSchedule:
    """Raises `ObjectNotFound`, `ScheduleError` or `DeploymentError`."""
    schedule_times.check(wanted.schedule)
    with store.write() as tx:
        deployment = need(tx, wanted.deployment_id)
        _check_slug(deployment, wanted.slug, None)
        made = _schedule(deployment.id, wanted, _new_id(now), now, now)
        schedules.put(tx, made)
        return made


def update_schedule(store: Store, wanted: asked.UpdateSchedule, now: datetime) -> DeploymentSchedule:
    """Raises `ObjectNotFound`, `ScheduleError` or `DeploymentError`."""
    if wanted.schedule is not UNSET:
        schedule_times.check(wanted.schedule)
    with store.write() as tx:
        deployment = need(tx, wanted.deployment_id)
        there = _need_schedule(tx, deployment, wanted.schedule_id)
        changed = msgspec.structs.replace(there, problem=None, **given(wanted, "deployment_id", "schedule_id"))
        _check_slug(deployment, changed.slug, changed.id)
        return scheduling.replan(tx, changed, now)


def delete_schedule(store: Store, deployment_id: UUID, schedule_id: UUID) -> None:
    """Raises `ObjectNotFound`."""
    with store.write() as tx:
        _need_schedule(tx, need(tx, deployment_id), schedule_id)
        scheduling.take_back(tx, schedule_id)
        schedules.delete(tx, schedule_id)


def _need_schedule(tx: Tx, deployment: Deployment, id: UUID) -> DeploymentSchedule:
    found = schedules.get(tx, id)
    if found is None or found.deployment_id != deployment.id:
        raise ObjectNotFound(f"Deployment {deployment.full_name!r} has no schedule '{id}'!")
    return found


def _schedules(
    deployment: Deployment, wanted: tuple[ScheduleGiven, ...], now: datetime
) -> tuple[DeploymentSchedule, ...]:
    """A schedule that is there already keeps its id, and with it the runs that are planned."""
    left = list(deployment.schedules)
    found = []
    for each in wanted:
        same = next(
            (old for old in left if (old.slug is not None and old.slug == each.slug) or old.schedule == each.schedule),
            None,
        )
        if same is not None:
            left.remove(same)
        id, created = (_new_id(now), now) if same is None else (same.id, same.created)
        made = _schedule(deployment.id, each, id, created, now)
        if same is not None:
            made.planned_until, made.plan_again = same.planned_until, same.plan_again
        found.append(made)
    return tuple(found)


def _schedule(
    deployment_id: UUID, wanted: ScheduleGiven, id: UUID, created: datetime, now: datetime
) -> DeploymentSchedule:
    fields = {name: getattr(wanted, name) for name in ScheduleGiven.__struct_fields__}
    return DeploymentSchedule(id=id, deployment_id=deployment_id, created=created, updated=now, **fields)


def _given(schedule: DeploymentSchedule) -> dict[str, Any]:
    return {name: getattr(schedule, name) for name in ScheduleGiven.__struct_fields__}


def _shown(found: tuple[DeploymentSchedule, ...]) -> list[Any]:
    return [msgspec.to_builtins(_given(each)) for each in found]


def _check_slug(deployment: Deployment, slug: str | None, own: UUID | None) -> None:
    if slug is not None and any(each.slug == slug and each.id != own for each in deployment.schedules):
        raise DeploymentError(f"Deployment {deployment.full_name!r} has a schedule {slug!r} already.")


# --- checks ----------------------------------------------------------------------------------------------------------


def _check(wanted: ApplyDeployment) -> None:
    for what, name in (("deployment", wanted.name), ("flow", wanted.flow_name)):
        if not name.isprintable() or not name.strip() or (what == "deployment" and "/" in name):
            raise DeploymentError(f"The name of a {what} is printable text without '/'; not {name!r}.")
    checked_tags(wanted.tags)
    if wanted.schedules is not UNSET:
        slugs = [each.slug for each in wanted.schedules if each.slug is not None]
        if len(set(slugs)) < len(slugs):
            raise DeploymentError(f"Each slug of a schedule is of one schedule; these are: {', '.join(slugs)}.")
        for each in wanted.schedules:
            schedule_times.check(each.schedule)
    moment = datetime(1970, 1, 1, tzinfo=UTC)
    bare = Deployment(
        id=_RUNS, name=wanted.name, flow_id=_RUNS, flow_name=wanted.flow_name, created=moment, updated=moment,
        parameters=wanted.parameters, parameter_schema=wanted.parameter_schema,
        enforce_parameter_schema=wanted.enforce_parameter_schema,
    )  # fmt: skip
    check_parameters(bare, {}, whole=False)
    _check_keys(wanted)
    for step in wanted.pull_steps:
        if len(step) != 1 or not all(each is None or isinstance(each, dict) for each in step.values()):
            raise DeploymentError(f"A pull step is one name with its arguments, {{step: {{...}}}}; not {step!r:.200}.")


def _check_keys(wanted: ApplyDeployment | Deployment) -> None:
    """Raises `ConcurrencyError`."""
    concurrency_keys.check_priority(wanted.priority)
    concurrency_keys.check_limit(wanted.concurrency_limit_per_key)
    concurrency_keys.check_path(wanted.concurrency_key, wanted.parameter_schema)
    if wanted.rate_limit_per_key is not None:
        concurrency_keys.check_rate(wanted.rate_limit_per_key)


def _check_pool(tx: Tx, pool: str | None, queue: str | None) -> None:
    if pool is None:
        if queue is not None:
            raise DeploymentError(f"Work queue {queue!r} is of no work pool: name the pool, too.")
        return
    work_pools.need(tx, pool)
    if queue is not None:
        need_queue(tx, pool, queue)


def _changes(before: Deployment, after: Deployment) -> dict[str, list[Any]]:
    found = {}
    for name in Deployment.__struct_fields__:
        if name not in _ITS_OWN and getattr(before, name) != getattr(after, name):
            found[name] = [msgspec.to_builtins(getattr(before, name)), msgspec.to_builtins(getattr(after, name))]
    return found


def _not_found(tx: Tx, text: str) -> ObjectNotFound:
    known = [each.full_name for each in deployments.select(tx, 1000)]
    return ObjectNotFound(f"Deployment {text!r} not found!{names.suggestion(text, known)}")


def _new_id(now: datetime) -> UUID:
    return uuid7(round(now.timestamp() * 1e9), secrets.randbits(62))


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise DeploymentError(f"scheduled_time needs a time zone; {moment.isoformat()} has none.")
    return moment.astimezone(UTC)
