"""Flow runs and task runs: what is known of one, as values.

Law: everything that changes about a run is in `states` (and what the engine adds to them: result, counts). A record is
replaced as a whole by one with a higher `version`; so it can be reported twice, late, or out of order, and the highest
version is right. Nothing here knows how a run is executed or stored.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from .states import FINAL, RUNNING, State, StateType

# A run that is retried for ever must not grow for ever: its first states and its latest are kept.
STATES_KEPT = 200

# Named here: inside the classes below `dict` is their method, and what reads the annotations would find that.
Texts = dict[str, str]
Upstream = dict[str, tuple[UUID, ...]]


class ResultRef(msgspec.Struct, frozen=True, gc=False):  # it holds nothing that could hold it
    """Where a run's value is, and how it was written; never the value itself.

    `inline` holds the bytes when they are few, `key` names them in the result storage otherwise. `preview` is for
    people. The bytes are only ever decoded in a user's process.
    """

    serializer: str
    inline: bytes | None = None
    key: str | None = None
    storage: str | None = None
    size: int = 0
    expires: datetime | None = None


class Holder(msgspec.Struct, frozen=True):
    """Which process executes a run: enough to know later whether it still lives, safe against reuse of its pid.

    `boot` differs after each start of the machine (and between machines of one name), `namespace` between containers
    that share one: a pid means something only in its namespace.
    """

    host: str
    boot: str
    pid: int
    started: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class Entrypoint(msgspec.Struct, frozen=True):
    """How the run's program was started, so that it can be started again.

    `path` is the file of the flow's code, `digest` what was in it, `function` the flow's place in its `module`;
    `program` is the file that was started, and `program_module` its name where that was how (`python -m`). With
    `prefect` its `import prefect` was Penstock, by the rules of that version.
    """

    path: str | None = None
    function: str | None = None
    argv: tuple[str, ...] = ()
    directory: str | None = None
    python: str | None = None
    module: str | None = None
    program: str | None = None
    program_module: str | None = None
    digest: str | None = None
    prefect: str | None = None


class Arguments(msgspec.Struct, frozen=True):
    """What a flow was called with, to call it again: `data` are the arguments by name, pickled, and only ever read in
    a user's process. Where they could not be kept, `parameter` and `problem` say which one, and why."""

    data: bytes | None = None
    parameter: str | None = None
    problem: str | None = None


class _Run(msgspec.Struct, kw_only=True):
    id: UUID
    name: str
    created: datetime
    states: tuple[State[Any], ...] = ()
    version: int = 0
    flow_run_id: UUID | None = None
    tags: tuple[str, ...] = ()
    # previews for people: parameter -> text
    parameters: Texts = {}
    # parameter -> the runs whose values went into it
    upstream: Upstream = {}
    run_count: int = 0
    result: ResultRef | None = None
    labels: Texts = {}

    @property
    def state(self) -> State[Any]:
        """The state the run is in now."""
        return self.states[-1]

    @property
    def state_name(self) -> str:
        return self.states[-1].name

    @property
    def state_type(self) -> StateType:
        return self.states[-1].type

    @property
    def start_time(self) -> datetime | None:
        """When the run's code first began."""
        return next((state.timestamp for state in self.states if state.type is RUNNING), None)

    @property
    def end_time(self) -> datetime | None:
        """When the run ended; None while it has not."""
        last = self.states[-1]
        return last.timestamp if last.type in FINAL else None

    @property
    def total_run_time(self) -> timedelta:
        """Time spent in Running states, all attempts together (the present one up to its last state)."""
        total = timedelta()
        for state, following in zip(self.states, self.states[1:], strict=False):
            if state.type is RUNNING:
                total += following.timestamp - state.timestamp
        return total

    def enter(self, state: State[Any]) -> None:
        """Adds a state. Whether it may follow is not asked here, but by `transition.decide`."""
        states = (*self.states, state)
        if len(states) > STATES_KEPT:
            states = (*states[: STATES_KEPT // 2], *states[-STATES_KEPT // 2 :])
        self.states = states
        self.version += 1

    def dict(self) -> dict[str, Any]:
        """The record as plain Python values, ids and times as objects."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        fields["states"] = [msgspec.structs.asdict(state) for state in self.states]
        fields["state"] = fields["states"][-1] if fields["states"] else None
        fields["state_name"] = self.states[-1].name if self.states else None
        fields["state_type"] = self.states[-1].type if self.states else None
        fields["start_time"], fields["end_time"] = (self.start_time, self.end_time) if self.states else (None, None)
        return fields

    model_dump = dict


class TaskRun(_Run, kw_only=True):
    """One run of a task. `flow_run_id` is None for a task called outside flows."""

    task_name: str
    task_key: str
    task_version: str | None = None
    dynamic_key: str = ""
    parent_task_run_id: UUID | None = None
    cache_key: str | None = None
    deadline: datetime | None = None
    # the process that reports it, for a task outside flows; inside one, the flow run's holder speaks
    holder: Holder | None = None
    # the flow run's, as the one who reports knows it: a report of a process that lost the run does not count
    epoch: int = 1


class FlowRun(_Run, kw_only=True):
    """One run of a flow. `flow_run_id` is its parent's, for a subflow; `epoch` rises each time the run is claimed."""

    flow_id: UUID
    flow_name: str
    flow_version: str | None = None
    parent_task_run_id: UUID | None = None
    root_flow_run_id: UUID | None = None
    deployment_id: UUID | None = None
    epoch: int = 1
    holder: Holder | None = None
    deadline: datetime | None = None
    expected_start_time: datetime | None = None
    entrypoint: Entrypoint | None = None
    infrastructure_pid: str | None = None
    keep: bool = False
    # how many lines could not be stored, where that ever happened
    lines_lost: int = 0

    @property
    def parent_flow_run_id(self) -> UUID | None:
        """The flow run that called this one, for a subflow."""
        return self.flow_run_id
