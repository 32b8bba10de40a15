"""From a flow to a deployment of it: `to_deployment`, `serve`, `deploy`, `from_source`.

Law: what is deployed is where the flow's code is and how it is called; the code itself stays where it is, or comes from
its source by steps. Nothing of a flow is pickled.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from .. import connect
from ..domain import concurrency_keys as keys
from ..domain.deployments import Collision, Deployment
from ..domain.errors import DeploymentError
from ..protocol.deployments import APPLY_DEPLOYMENT, UPDATE_DEPLOYMENT, Applied, ApplyDeployment
from ..protocol.deployments import UpdateDeployment as Update
from ..settings import current
from . import parameter_schema, programs
from .schedules import schedules_of

if TYPE_CHECKING:
    from .flow import Flow


class RunnerDeployment:
    """A flow, and how it is to be deployed: what `flow.to_deployment()` gives, for `serve()` and `deploy()`."""

    def __init__(self, flow: Flow[..., Any], wanted: ApplyDeployment) -> None:
        self.flow = flow
        self.wanted = wanted
        self.name = wanted.name

    def apply(self, **changes: Any) -> Deployment:
        """Records it, with these changes. Raises `DeploymentError`, `ScheduleError`, `ParameterError` or
        `ObjectNotFound`."""
        applied: Applied = connect.call(APPLY_DEPLOYMENT, msgspec.structs.replace(self.wanted, **changes))
        return applied.deployment

    def __repr__(self) -> str:
        return f"<RunnerDeployment {self.wanted.flow_name}/{self.name}>"


def to_deployment(
    flow: Flow[..., Any],
    name: str,
    *,
    interval: float | timedelta | Iterable[float | timedelta] | None = None,
    cron: str | Iterable[str] | None = None,
    rrule: str | Iterable[str] | None = None,
    timezone: str = "UTC",
    schedule: Any = None,
    schedules: Sequence[Any] | None = None,
    paused: bool | None = None,
    parameters: dict[str, Any] | None = None,
    description: str | None = None,
    tags: Iterable[str] | None = None,
    version: str | None = None,
    enforce_parameter_schema: bool = True,
    work_pool_name: str | None = None,
    work_queue_name: str | None = None,
    job_variables: dict[str, Any] | None = None,
    concurrency_limit: Any = None,
    priority: int | None = None,
    concurrency_key: str | None = None,
    concurrency_limit_per_key: int | None = None,
    rate_limit_per_key: Any = None,
    grace: float | None = None,
    start_timeout: float | None = None,
    entrypoint: str | None = None,
    path: str | None = None,
    pull_steps: Sequence[dict[str, Any]] | None = None,
) -> RunnerDeployment:
    """See `Flow.to_deployment`."""
    _check_kinds(
        parameters=(parameters, dict), job_variables=(job_variables, dict), schedules=(schedules, list | tuple)
    )
    limit, collision = _limit(concurrency_limit)
    place, folder, steps = _code(flow, entrypoint, path, pull_steps)
    schema = parameter_schema.schema_of(flow.fn)
    wanted = ApplyDeployment(
        flow_name=flow.name,
        name=name,
        entrypoint=place,
        path=folder,
        pull_steps=tuple(steps or ()),
        version=version or flow.version,
        description=description if description is not None else flow.description,
        tags=tags_of(tags),
        parameters=parameter_schema.jsonable(parameters or {}),
        parameter_schema=schema,
        enforce_parameter_schema=enforce_parameter_schema,
        work_pool=work_pool_name,
        work_queue=work_queue_name,
        job_variables=dict(job_variables or {}),
        concurrency_limit=limit,
        collision=collision,
        **_turns(schema, priority, concurrency_key, concurrency_limit_per_key, rate_limit_per_key),
        grace=grace,
        start_timeout=start_timeout,
        paused=UNSET if paused is None else paused,
        schedules=schedules_of(interval, cron, rrule, timezone, schedule, schedules),
    )
    return RunnerDeployment(flow, wanted)


def _turns(schema: dict[str, Any], priority: Any, key: Any, limit: Any, rate: Any) -> dict[str, Any]:
    """Which of its runs goes first. Raises `ConcurrencyError`."""
    return {
        "priority": keys.check_priority(priority),
        "concurrency_key": keys.check_path(key, schema),
        "concurrency_limit_per_key": keys.check_limit(limit),
        "rate_limit_per_key": keys.rate_in(rate),
    }


def tags_of(tags: Iterable[str] | None) -> tuple[str, ...]:
    """Raises `DeploymentError` for one text instead of several."""
    if isinstance(tags, str):
        raise DeploymentError(f"tags are several texts, tags=[{tags!r}]; a text by itself would be one tag a letter.")
    return tuple(tags or ())


def _check_kinds(**values: Any) -> None:
    for name, (value, kind) in values.items():
        if value is not None and not isinstance(value, kind):
            wanted = "a dict" if kind is dict else "a list"
            raise DeploymentError(f"{name} is {wanted}; it is {value!r:.80}.")


def _check_deployments(deployments: Sequence[Any], called: str) -> None:
    """Raises `DeploymentError` for what is none, or is given twice."""
    seen: set[str] = set()
    for each in deployments:
        if not isinstance(each, RunnerDeployment):
            raise DeploymentError(
                f"{called}() takes deployments, {called}(my_flow.to_deployment('name')); this is {each!r:.80}."
            )
        name = f"{each.wanted.flow_name}/{each.wanted.name}"
        if name in seen:
            raise DeploymentError(f"{called}() was given deployment {name!r} twice: give one another name.")
        seen.add(name)


def serve(
    *deployments: RunnerDeployment,
    limit: int | None = 10,
    pause_on_shutdown: bool = False,
    print_starting_message: bool = True,
    run_once: bool = False,
) -> None:
    """Records these deployments, and runs what is due of them, each run in a process of its own, at most `limit` at
    once; until Ctrl-C or SIGTERM, and the end of the runs under way. With `pause_on_shutdown` their schedules rest
    then.

    Example::

        serve(etl.to_deployment("nightly", cron="0 3 * * *"), report.to_deployment("weekly", cron="0 8 * * 1"))
    """
    if programs.is_loading():  # by the process of a run: it wants the flow, and not another server
        return
    if not deployments:
        raise DeploymentError("serve() needs at least one deployment: serve(my_flow.to_deployment('name')).")
    _check_deployments(deployments, "serve")
    number: Any = limit
    if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
        raise DeploymentError(f"limit is how many runs at once, 1 or more, or None; it is {limit!r:.40}.")
    served = [each.apply(work_pool=None, work_queue=None) for each in deployments]
    if print_starting_message:
        _say_served(served)
    from ..worker import starting

    try:
        starting.start(
            "process",
            deployments=[each.id for each in served],
            limit=limit,
            once=run_once,
            say=lambda text: print(f"penstock: {text}", file=sys.stderr, flush=True),
            line=starting.line_to_terminal,
            way="serve()",
        )
    finally:
        if pause_on_shutdown:
            for each in served:
                if each.schedules:
                    connect.call(UPDATE_DEPLOYMENT, Update(id=each.id, paused=True))


def deploy(
    *deployments: RunnerDeployment,
    work_pool_name: str | None = None,
    image: str | None = None,
    build: bool = False,
    push: bool = False,
    print_next_steps: bool = True,
) -> list[Any]:
    """Records these deployments in a work pool; their ids. `image` is what their containers are made of; building and
    pushing images is left to the tools that are made for it.

    Raises `DeploymentError` for what cannot be, and `ObjectNotFound` for a pool that is not there.
    """
    if programs.is_loading():
        return []
    if build or push:
        raise DeploymentError(
            "deploy() builds and pushes no images: build it before (docker build, docker push), and name it by image=."
        )
    _check_deployments(deployments, "deploy")
    found = []
    for each in deployments:
        pool = work_pool_name or each.wanted.work_pool
        if pool is None:
            raise DeploymentError(f"Deployment {each.name!r} needs a work pool: work_pool_name='…'; or serve() it.")
        variables = each.wanted.job_variables | ({} if image is None else {"image": image})
        found.append(each.apply(work_pool=pool, job_variables=variables))
    if print_next_steps:
        for made in found:
            print(f"Deployed {made.full_name!r} to work pool {made.work_pool!r}. To run it:")
            print(f"  penstock deployment run '{made.full_name}'")
        pools = dict.fromkeys(made.work_pool for made in found)
        for name in pools:
            print(f"Its runs are taken by a worker:\n  penstock worker start --pool '{name}'")
    return [made.id for made in found]


def default_name() -> str:
    """A deployment served without a name has the program's."""
    return Path(sys.argv[0] or "program").stem or "program"


def _say_served(served: Sequence[Deployment]) -> None:
    settings = current()
    where = settings.api_url or f"the record {connect.database_path(settings)}"
    for each in served:
        print(f"Serving {each.full_name!r}, with {where}. To run it:")
        print(f"  penstock deployment run '{each.full_name}'", flush=True)


def _code(
    flow: Flow[..., Any], entrypoint: str | None, path: str | None, pull_steps: Sequence[dict[str, Any]] | None
) -> tuple[str, str | None, Sequence[dict[str, Any]] | None]:
    """Its entrypoint, the folder it is in, and what brings it there: of its source, as it was said, or of here."""
    source = flow._source
    if source is not None:
        return source.entrypoint, source.folder, source.steps
    place, folder = (entrypoint, path) if entrypoint is not None else _place(flow)
    return place, folder, pull_steps


def _place(flow: Flow[..., Any]) -> tuple[str, str]:
    """The entrypoint of a flow of this program, and the folder that it is run in: this one."""
    function = getattr(flow.fn, "__qualname__", "")
    if not function or "<" in function:
        raise DeploymentError(
            f"Flow {flow.name!r} cannot be deployed: {function or 'what it is made of'!r} cannot be found from "
            "outside. Put the flow at the top of its file."
        )
    try:
        file = inspect.getsourcefile(inspect.unwrap(flow.fn))
    except TypeError:
        file = None
    if file is None or not os.path.isfile(file):
        raise DeploymentError(
            f"Flow {flow.name!r} cannot be deployed: it was typed in, and is in no file. Put it in one, or deploy it "
            "by Flow.from_source()."
        )
    folder = Path.cwd()
    path = Path(file).resolve()
    place = path.relative_to(folder.resolve()) if path.is_relative_to(folder.resolve()) else path
    return f"{place}:{function}", str(folder)


def _limit(wanted: Any) -> tuple[int | None, Collision]:
    """A number; or an object or a dict with `limit` and `collision_strategy`."""
    if wanted is None or isinstance(wanted, int):
        return wanted, Collision.ENQUEUE
    unknown = sorted(set(wanted) - {"limit", "collision_strategy"}) if isinstance(wanted, dict) else []
    if unknown:
        raise DeploymentError(f"concurrency_limit has a limit and a collision_strategy; not {unknown[0]!r}.")
    get = wanted.get if isinstance(wanted, dict) else lambda name, default=None: getattr(wanted, name, default)
    strategy = get("collision_strategy") or "ENQUEUE"
    try:
        return get("limit"), Collision(getattr(strategy, "value", strategy))
    except ValueError:
        raise DeploymentError(f"A collision strategy is one of {', '.join(Collision)}; this is {strategy!r}.") from None
