"""The one table of names: what Prefect's public names are here, and what those are nearest to that are not here.

Law: this is data. `finder` makes modules of it for scripts that run unchanged, `migrate` rewrites code by it, and
docs/moving-from-prefect.md is checked against it; none of them knows a name of its own.

A row of `OFFERED` is a module of Prefect's, and where its names are: `"place: name name other=name_here"`. Names of
Prefect 2 and 3 stand side by side. What is in `penstock.prefect` is there for this vocabulary only.
"""

from __future__ import annotations

from typing import NamedTuple

_STATES = (
    "AwaitingConcurrencySlot AwaitingRetry Cancelled Cancelling Completed Crashed Failed Late Paused Pending Retrying "
    "Running Scheduled State StateType Suspended"
)
_RUNTIME = "penstock.runtime: deployment flow_run task_run"
_SCHEDULES = "penstock.prefect.schedules: CronSchedule IntervalSchedule RRuleSchedule"
_PAUSES = "penstock.flow_runs: apause_flow_run aresume_flow_run asuspend_flow_run pause_flow_run resume_flow_run"
_RUN_LOGGERS = "penstock.logging: disable_run_logger flow_run_logger get_logger get_run_logger task_run_logger"
_FILTERS = (
    "penstock.prefect.filters: DeploymentFilter DeploymentFilterId DeploymentFilterName FlowFilter FlowFilterId "
    "FlowFilterName FlowRunFilter FlowRunFilterDeploymentId FlowRunFilterExpectedStartTime FlowRunFilterId "
    "FlowRunFilterName FlowRunFilterParentFlowRunId FlowRunFilterStartTime FlowRunFilterState "
    "FlowRunFilterStateName FlowRunFilterStateType FlowRunFilterTags LogFilter LogFilterFlowRunId LogFilterLevel "
    "TaskRunFilter TaskRunFilterFlowRunId TaskRunFilterId TaskRunFilterName TaskRunFilterState "
    "TaskRunFilterStateName TaskRunFilterStateType TaskRunFilterTags"
)
_OBJECTS = "penstock.prefect.objects: Deployment FlowRun Log State StateType TaskRun WorkPool WorkQueue"

OFFERED: dict[str, tuple[str, ...]] = {
    "prefect": (
        "penstock: Flow State Task allow_failure apause_flow_run aresume_flow_run asuspend_flow_run flow "
        "get_run_logger pause_flow_run quote resume_flow_run serve suspend_flow_run tags task unmapped",
        "penstock.prefect.client: get_client",
        "penstock.prefect.deployments: deploy",
        "penstock.prefect.version: __version__",
    ),
    "prefect.artifacts": (
        "penstock.artifacts: acreate_image_artifact acreate_link_artifact acreate_markdown_artifact "
        "acreate_progress_artifact acreate_table_artifact aupdate_progress_artifact Artifact",
        "penstock.prefect.dispatched: create_image_artifact create_link_artifact create_markdown_artifact "
        "create_progress_artifact create_table_artifact update_progress_artifact",
    ),
    "prefect.blocks": (),
    "prefect.blocks.core": ("penstock.blocks.core: Block",),
    "prefect.blocks.notifications": (
        "penstock.blocks.notifications: CustomWebhookNotificationBlock=CustomWebhook DiscordWebhook MattermostWebhook "
        "MicrosoftTeamsWebhook NotificationBlock OpsgenieWebhook PagerDutyWebHook SendgridEmail SlackWebhook TwilioSMS",
    ),
    "prefect.blocks.system": ("penstock.blocks.system: DateTime JSON Secret String",),
    "prefect.cache_policies": (
        "penstock.cache_policies: CacheKeyFnPolicy=CacheKeyFn DEFAULT FLOW_PARAMETERS INPUTS NONE NO_CACHE RUN_ID "
        "TASK_SOURCE",
        "penstock.prefect.cache_policies: CachePolicy",
        "penstock.engine.caching: CompoundCachePolicy=Compound FlowParameters Inputs RunId TaskSource",
    ),
    "prefect.client": ("penstock.prefect.client: get_client",),
    "prefect.client.orchestration": ("penstock.prefect.client: PrefectClient SyncPrefectClient get_client",),
    "prefect.client.orion": ("penstock.prefect.client: OrionClient=PrefectClient get_client",),
    "prefect.client.schemas": (_OBJECTS, _SCHEDULES),
    "prefect.client.schemas.filters": (_FILTERS,),
    "prefect.client.schemas.objects": (_OBJECTS,),
    "prefect.client.schemas.schedules": (_SCHEDULES,),
    "prefect.client.schemas.sorting": ("penstock.prefect.filters: FlowRunSort TaskRunSort",),
    "prefect.concurrency": (),
    "prefect.concurrency.asyncio": ("penstock.concurrency.asyncio: concurrency rate_limit",),
    "prefect.concurrency.sync": ("penstock.concurrency.sync: concurrency rate_limit",),
    "prefect.context": ("penstock.context: FlowRunContext TaskRunContext get_run_context tags",),
    "prefect.deployments": (
        "penstock.deployments: arun_deployment run_deployment",
        "penstock.prefect.deployments: Deployment RunnerDeployment deploy",
    ),
    "prefect.deployments.deployments": (
        "penstock.deployments: run_deployment",
        "penstock.prefect.deployments: Deployment",
    ),
    "prefect.deployments.flow_runs": ("penstock.deployments: arun_deployment run_deployment",),
    "prefect.deployments.runner": ("penstock.prefect.deployments: RunnerDeployment deploy",),
    "prefect.engine": (_PAUSES + " suspend_flow_run",),
    "prefect.events": ("penstock.events: Event emit_event",),
    "prefect.exceptions": (
        "penstock.exceptions: CancelledRun ConfigurationError CrashedRun FailedRun FlowPauseTimeout HashError "
        "InfrastructureError InfrastructureNotAvailable InfrastructureNotFound InvalidNameError=InvalidName "
        "MappingLengthMismatch MappingMissingIterable MissingContextError MissingResult NotPausedError ObjectNotFound "
        "ObjectAlreadyExists=NameTaken ParameterBindError ParameterTypeError PausedRun PrefectException=PenstockError "
        "PrefectHTTPStatusError=ServerError ReservedArgumentError SerializationError SignatureMismatchError "
        "UnfinishedRun UpstreamTaskError",
        "penstock.prefect.deployments: FlowRunWaitTimeout",
    ),
    "prefect.filesystems": ("penstock.prefect.filesystems: LocalFileSystem",),
    "prefect.flow_runs": (
        _PAUSES + " suspend_flow_run",
        "penstock.prefect.deployments: wait_for_flow_run",
    ),
    "prefect.flows": ("penstock: Flow flow serve",),
    "prefect.futures": (
        "penstock.futures: PrefectFuture=PenstockFuture PrefectFutureList=PenstockFutureList as_completed wait",
    ),
    "prefect.input": ("penstock.input: RunInput asend_input receive_input send_input",),
    "prefect.input.run_input": ("penstock.input: RunInput asend_input receive_input send_input",),
    "prefect.logging": (_RUN_LOGGERS,),
    "prefect.logging.loggers": (_RUN_LOGGERS,),
    "prefect.orion": (),
    "prefect.orion.schemas": (),
    "prefect.orion.schemas.filters": (_FILTERS,),
    "prefect.orion.schemas.schedules": (_SCHEDULES,),
    "prefect.orion.schemas.states": (f"penstock.states: {_STATES}",),
    "prefect.runtime": (_RUNTIME,),
    "prefect.runtime.deployment": (),
    "prefect.runtime.flow_run": (),
    "prefect.runtime.task_run": (),
    "prefect.schedules": ("penstock.schedules: Cron Interval RRule",),
    "prefect.serializers": ("penstock.serializers: CompressedSerializer JSONSerializer PickleSerializer Serializer",),
    "prefect.server": (),
    "prefect.server.schemas": (),
    "prefect.server.schemas.filters": (_FILTERS,),
    "prefect.server.schemas.schedules": (_SCHEDULES,),
    "prefect.server.schemas.states": (f"penstock.states: {_STATES}",),
    "prefect.settings": ("penstock.prefect.settings: get_current_settings temporary_settings",),
    "prefect.states": (
        f"penstock.states: {_STATES} TimedOut",
        "penstock.prefect.states: get_state_exception is_state raise_state_exception",
    ),
    "prefect.task_runners": (
        "penstock.task_runners: BaseTaskRunner=TaskRunner ConcurrentTaskRunner DaskTaskRunner ProcessPoolTaskRunner "
        "RayTaskRunner SequentialTaskRunner TaskRunner ThreadPoolTaskRunner",
    ),
    "prefect.tasks": ("penstock.tasks: Task exponential_backoff task task_input_hash",),
    "prefect.testing": (),
    "prefect.testing.utilities": ("penstock.prefect.testing: prefect_test_harness",),
    "prefect.types": (),
    "prefect.utilities": (),
    "prefect.utilities.annotations": ("penstock: allow_failure quote unmapped Quote=quote",),
    "prefect_dask": ("penstock.task_runners: DaskTaskRunner get_async_dask_client get_dask_client",),
    "prefect_dask.task_runners": ("penstock.task_runners: DaskTaskRunner",),
    "prefect_dask.utils": ("penstock.task_runners: get_async_dask_client get_dask_client",),
    "prefect_ray": ("penstock.task_runners: RayTaskRunner",),
    "prefect_ray.context": ("penstock.task_runners: remote_options",),
    "prefect_ray.task_runners": ("penstock.task_runners: RayTaskRunner",),
    "prefect.variables": ("penstock.variables: Variable", "penstock.prefect.dispatched: get"),
}

# What is a module of ours as it is: its names are found there, whatever they are.
WHOLE: dict[str, str] = {
    "prefect.runtime.deployment": "penstock.runtime.deployment",
    "prefect.runtime.flow_run": "penstock.runtime.flow_run",
    "prefect.runtime.task_run": "penstock.runtime.task_run",
}

_FILES = "a folder as result_storage, or your own library (fsspec, boto3) in a task"
_POOL = "a work pool of type {} and its job variables (docs/infrastructure.md)"

# What code that moves uses instead of what is in `penstock.prefect`, and what a person should know of it then. A name
# without a place is for a person to replace.
INSTEAD: dict[str, tuple[str, str]] = {
    "client.get_client": ("penstock.get_client", "its filters are RunFilter, not FlowRunFilter and its kin"),
    "client.PrefectClient": ("penstock.client.asynchronous.PenstockClient", "its filters are RunFilter"),
    "client.SyncPrefectClient": ("penstock.client.blocking.SyncPenstockClient", "its filters are RunFilter"),
    "deployments.Deployment": ("", "flow.to_deployment(name, ...).apply(), or flow.serve(), flow.deploy()"),
    "deployments.FlowRunWaitTimeout": ("", "the built-in TimeoutError"),
    "deployments.RunnerDeployment": ("", "what flow.to_deployment() gives"),
    "deployments.deploy": ("penstock.deploy", ""),
    "deployments.wait_for_flow_run": ("", "get_client(): wait_for_flow_run"),
    "dispatched.get": ("", "penstock.variables.Variable.get"),
    "filesystems.LocalFileSystem": ("", "a folder as result_storage; pathlib for files of your own"),
    "cache_policies.CachePolicy": (
        "penstock.cache_policies.CachePolicy",
        "its compute_key takes the context and the inputs",
    ),
    "states.get_state_exception": ("", "state.result(raise_on_failure=False)"),
    "states.is_state": ("", "isinstance(value, penstock.State)"),
    "states.raise_state_exception": ("", "state.result()"),
    "schedules.CronSchedule": ("penstock.schedules.CronSchedule", "a timezone that is None is to be left out"),
    "schedules.IntervalSchedule": ("penstock.schedules.IntervalSchedule", "its interval is a number of seconds"),
    "schedules.RRuleSchedule": ("penstock.schedules.RRuleSchedule", "a timezone that is None is to be left out"),
    "settings.get_current_settings": ("penstock.settings.current", ""),
    "settings.temporary_settings": ("penstock.settings.temporary_settings", ""),
    "testing.prefect_test_harness": ("penstock.testing.test_harness", "it has no server_startup_timeout"),
    "version.__version__": ("penstock.__version__", "it is Penstock's"),
    **{
        f"dispatched.{verb}_{kind}_artifact": (
            f"penstock.artifacts.{verb}_{kind}_artifact",
            f"where it is awaited: a{verb}_{kind}_artifact",
        )
        for verb, kind in (
            ("create", "image"), ("create", "link"), ("create", "markdown"), ("create", "progress"),
            ("create", "table"), ("update", "progress"),
        )
    },
}  # fmt: skip
# What is awaited in Prefect's coroutines and is a plain call here.
AWAITED = "Secret.load, Block.save, Variable.get and their kin are plain calls here; aload, asave, aget are awaited"

# What the finder loads by name, for it needs the whole house, and the finder is needed where that is not loaded yet.
HABITS = "penstock.prefect.habits"
OF_SETTINGS = "penstock.prefect.settings"

# Names and modules that are not here, and what is nearest. The longest that fits counts.
MISSING: dict[str, str] = {
    "prefect.Manifest": "a deployment is made by flow.to_deployment()",
    "prefect.Transaction": "tasks with a cache_policy, and artifacts of your own to undo them",
    "prefect.agent": "`penstock worker start`",
    "prefect.artifacts.LinkArtifact": "penstock.artifacts.create_link_artifact",
    "prefect.artifacts.MarkdownArtifact": "penstock.artifacts.create_markdown_artifact",
    "prefect.artifacts.TableArtifact": "penstock.artifacts.create_table_artifact",
    "prefect.artifacts.ProgressArtifact": "penstock.artifacts.create_progress_artifact",
    "prefect.artifacts.ImageArtifact": "penstock.artifacts.create_image_artifact",
    "prefect.aserve": "penstock.serve, in a thread",
    "prefect.assets": "artifacts (penstock.artifacts) and events (penstock.events)",
    "prefect.automations": "penstock.automations, which has other classes (docs/automations.md)",
    "prefect.blocks.abstract": "penstock.blocks.core.Block",
    "prefect.blocks.webhook": "penstock.blocks.notifications.CustomWebhook",
    "prefect.blocks": "a Block of your own (penstock.blocks.core.Block) that holds the configuration",
    "prefect.cli": "the command line `penstock`",
    "prefect.client": "penstock.client (docs/client.md)",
    "prefect.docker": "building images with docker build, and image= of deploy()",
    "prefect.events": "penstock.automations and penstock.events (docs/automations.md)",
    "prefect.filesystems": _FILES,
    "prefect.infrastructure.DockerContainer": _POOL.format("docker"),
    "prefect.infrastructure.KubernetesJob": _POOL.format("kubernetes"),
    "prefect.infrastructure.Process": _POOL.format("process"),
    "prefect.infrastructure": "a work pool (docs/infrastructure.md)",
    "prefect.locking": "penstock.concurrency with limit 1",
    "prefect.orion": "penstock.client (docs/client.md); the server's own classes are not a part of the API",
    "prefect.packaging": "the code stays where it is, or comes by a pull step (docs/deployments.md)",
    "prefect.plugins": "importing what is wanted",
    "prefect.results": "persist_result, result_storage and result_serializer of a flow or task (docs/results.md)",
    "prefect.runner": "penstock.serve",
    "prefect.server": "penstock.client (docs/client.md); the server's own classes are not a part of the API",
    "prefect.task_runners.PrefectTaskRunner": "ProcessPoolTaskRunner, or a subflow run by run_deployment",
    "prefect.task_runs": "penstock.client: wait_for_task_run",
    "prefect.task_worker": "a deployment that run_deployment runs",
    "prefect.tasks": "penstock.tasks",
    "prefect.transactions": "tasks with a cache_policy; on_failure hooks to undo what was done",
    "prefect.types": "the types of pydantic",
    "prefect.utilities": "the standard library: it is Prefect's own, and not a part of its API",
    "prefect.workers": "penstock worker start; a type of infrastructure of your own is not offered",
}

# Packages beside Prefect that need it to be what it is.
INTEGRATIONS: dict[str, str] = {
    "prefect_aws": "boto3 in tasks, credentials as Secret blocks, and a work pool of type ecs",
    "prefect_azure": "Azure's own libraries in tasks, and a work pool of type azure-container-instance",
    "prefect_bitbucket": "the pull step git_clone",
    "prefect_databricks": "Databricks' own library in tasks",
    "prefect_dbt": 'dbt\'s own library or command in a task with capture="all"',
    "prefect_docker": "a work pool of type docker",
    "prefect_email": "penstock.blocks.notifications.Email",
    "prefect_gcp": "Google's own libraries in tasks, and a work pool of type cloud-run",
    "prefect_github": "the pull step git_clone",
    "prefect_gitlab": "the pull step git_clone",
    "prefect_kubernetes": "a work pool of type kubernetes",
    "prefect_redis": "redis' own library in tasks; limits are penstock.concurrency",
    "prefect_shell": 'subprocess in a task with capture="all"',
    "prefect_slack": "penstock.blocks.notifications.SlackWebhook",
    "prefect_snowflake": "Snowflake's own library in tasks",
    "prefect_sqlalchemy": "SQLAlchemy in tasks, the URL as a Secret block",
}

# Settings whose name differs by more than its beginning.
SETTINGS: dict[str, str] = {
    "PREFECT_API_DATABASE_CONNECTION_URL": "PENSTOCK_DATABASE_URL",
    "PREFECT_FLOW_DEFAULT_RETRIES": "PENSTOCK_FLOWS_DEFAULT_RETRIES",
    "PREFECT_FLOW_DEFAULT_RETRY_DELAY_SECONDS": "PENSTOCK_FLOWS_DEFAULT_RETRY_DELAY_SECONDS",
    "PREFECT_ORION_API_HOST": "PENSTOCK_SERVER_API_HOST",
    "PREFECT_ORION_API_PORT": "PENSTOCK_SERVER_API_PORT",
    "PREFECT_ORION_DATABASE_CONNECTION_URL": "PENSTOCK_DATABASE_URL",
    "PREFECT_RESULTS_LOCAL_STORAGE_PATH": "PENSTOCK_LOCAL_STORAGE_PATH",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "PENSTOCK_DATABASE_URL",
    "PREFECT_SERVER_UI_URL": "PENSTOCK_UI_URL",
    "PREFECT_TASK_DEFAULT_RETRIES": "PENSTOCK_TASKS_DEFAULT_RETRIES",
    "PREFECT_TASK_DEFAULT_RETRY_DELAY_SECONDS": "PENSTOCK_TASKS_DEFAULT_RETRY_DELAY_SECONDS",
    "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "PENSTOCK_TASKS_DEFAULT_PERSIST_RESULT",
}


# Packages whose names are here.
PACKAGES = frozenset(module.partition(".")[0] for module in OFFERED)


class Place(NamedTuple):
    """Where a name is here."""

    module: str
    name: str

    @property
    def moved(self) -> tuple[Place | None, str]:
        """What code that moves uses, which does not stay with Prefect's names; None: a person must say. And what that
        person should know."""
        alone = self.module.removeprefix("penstock.prefect.")
        if alone == self.module:
            return self, ""
        instead, note = INSTEAD.get(f"{alone}.{self.name}", ("", nearest_part(alone)))
        module, _, name = instead.rpartition(".")
        return (Place(module, name) if instead else None), note


def _read() -> dict[str, dict[str, Place]]:
    found: dict[str, dict[str, Place]] = {}
    for module, rows in OFFERED.items():
        names = found.setdefault(module, {})
        for row in rows:
            place, _, listed = row.partition(": ")
            for word in listed.split():
                theirs, _, ours = word.partition("=")
                names[theirs] = Place(place, ours or theirs)
    return found


NAMES = _read()


def place_of(module: str, name: str) -> Place | None:
    """Where a name of a module of Prefect's is here; None if it is not."""
    return NAMES.get(module, {}).get(name)


def nearest(dotted: str) -> str | None:
    """What is nearest to a name, or a module, that is not here."""
    head = dotted.partition(".")[0]
    if head in INTEGRATIONS:
        return INTEGRATIONS[head]
    while dotted and dotted not in PACKAGES:
        if dotted in MISSING:
            return MISSING[dotted]
        dotted = dotted.rpartition(".")[0]
    return None


def nearest_part(part: str) -> str:
    """What is nearest to all that is in a module of `penstock.prefect`."""
    return {
        "filters": "penstock.client: RunFilter, LogFilter (docs/client.md)",
        "objects": "what the client's methods give; states are in penstock.states",
    }.get(part, "docs/moving-from-prefect.md")


def setting_of(name: str) -> str:
    """What a setting of Prefect's is called here, if there is one."""
    return SETTINGS.get(name, name.replace("PREFECT_", "PENSTOCK_", 1))
