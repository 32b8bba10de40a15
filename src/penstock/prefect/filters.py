"""Prefect's filters, made into ours.

Law: a filter that means something here is that; one that does not is an error, never a filter that is left out.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

import msgspec

from ..domain.errors import NameNotOffered
from ..domain.filters import LogFilter as OurLogFilter
from ..domain.filters import RunFilter
from ..domain.states import StateType


class _Part(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A filter, or a part of one; a dict of the same fields will do for a part."""

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, dict):
                setattr(self, field.name, _made(field.type, value))


def _made(kind: Any, value: dict[str, Any]) -> Any:
    part = next(each for each in (*getattr(kind, "__args__", ()), kind) if isinstance(each, type))
    try:
        return part(**value)
    except TypeError as error:
        raise NameNotOffered(f"{part.__name__}: {error}. Runs are found by what RunFilter has.") from None


class _Ids(_Part):
    any_: list[UUID | str] | None = None


class _Names(_Part):
    any_: list[str] | None = None
    like_: str | None = None


class _Tags(_Part):
    all_: list[str] | None = None


class _Types(_Part):
    any_: list[Any] | None = None


class _Moments(_Part):
    after_: datetime | None = None
    before_: datetime | None = None


class _Levels(_Part):
    ge_: int | None = None


class FlowFilterId(_Ids): ...


class FlowFilterName(_Names): ...


class FlowRunFilterId(_Ids): ...


class FlowRunFilterName(_Names): ...


class FlowRunFilterTags(_Tags): ...


class FlowRunFilterDeploymentId(_Ids): ...


class FlowRunFilterParentFlowRunId(_Ids): ...


class FlowRunFilterStateType(_Types): ...


class FlowRunFilterStateName(_Names): ...


class FlowRunFilterStartTime(_Moments): ...


class FlowRunFilterExpectedStartTime(_Moments): ...


class TaskRunFilterId(_Ids): ...


class TaskRunFilterName(_Names): ...


class TaskRunFilterTags(_Tags): ...


class TaskRunFilterFlowRunId(_Ids): ...


class TaskRunFilterStateType(_Types): ...


class TaskRunFilterStateName(_Names): ...


class DeploymentFilterId(_Ids): ...


class DeploymentFilterName(_Names): ...


class LogFilterFlowRunId(_Ids): ...


class LogFilterLevel(_Levels): ...


class FlowRunFilterState(_Part):
    type: FlowRunFilterStateType | None = None
    name: FlowRunFilterStateName | None = None


class TaskRunFilterState(_Part):
    type: TaskRunFilterStateType | None = None
    name: TaskRunFilterStateName | None = None


class FlowFilter(_Part):
    id: FlowFilterId | None = None
    name: FlowFilterName | None = None


class FlowRunFilter(_Part):
    id: FlowRunFilterId | None = None
    name: FlowRunFilterName | None = None
    tags: FlowRunFilterTags | None = None
    deployment_id: FlowRunFilterDeploymentId | None = None
    state: FlowRunFilterState | None = None
    start_time: FlowRunFilterStartTime | None = None
    expected_start_time: FlowRunFilterExpectedStartTime | None = None
    parent_flow_run_id: FlowRunFilterParentFlowRunId | None = None


class TaskRunFilter(_Part):
    id: TaskRunFilterId | None = None
    name: TaskRunFilterName | None = None
    tags: TaskRunFilterTags | None = None
    state: TaskRunFilterState | None = None
    flow_run_id: TaskRunFilterFlowRunId | None = None


class DeploymentFilter(_Part):
    id: DeploymentFilterId | None = None
    name: DeploymentFilterName | None = None


class LogFilter(_Part):
    flow_run_id: LogFilterFlowRunId | None = None
    level: LogFilterLevel | None = None


class FlowRunSort(StrEnum):
    """Runs come newest first."""

    ID_DESC = "ID_DESC"
    START_TIME_DESC = "START_TIME_DESC"
    EXPECTED_START_TIME_DESC = "EXPECTED_START_TIME_DESC"


class TaskRunSort(StrEnum):
    """Runs come newest first."""

    ID_DESC = "ID_DESC"
    EXPECTED_START_TIME_DESC = "EXPECTED_START_TIME_DESC"


class Wanted:
    """A `RunFilter` in the making, from several filters of Prefect's."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def flow(self, given: FlowFilter | None) -> Self:
        if given is not None:
            _refuse(given.id, "FlowFilter.id", "FlowFilter.name")
            names = given.name
            if names is not None:
                _refuse(names.like_, "FlowFilter.name.like_", "FlowFilter.name.any_")
                self._put("flow_names", names.any_)
        return self

    def runs(self, given: FlowRunFilter | TaskRunFilter | None) -> Self:
        """What flow runs or task runs themselves are to be."""
        if given is None:
            return self
        if given.id is not None:
            self._put("ids", given.id.any_)
        if given.name is not None:
            self._put("names", given.name.any_)
            if given.name.like_ is not None:
                self.fields["name_contains"] = given.name.like_
        if given.tags is not None:
            self._put("tags", given.tags.all_)
        if given.state is not None:
            types, named = given.state.type, given.state.name
            if types is not None:
                self._put("state_types", [StateType(getattr(each, "value", each)) for each in types.any_ or ()])
            if named is not None:
                self._put("state_names", named.any_)
        if isinstance(given, FlowRunFilter):
            self._flow_runs_only(given)
        elif given.flow_run_id is not None:
            self.above(given.flow_run_id, "TaskRunFilter.flow_run_id")
        return self

    def _flow_runs_only(self, given: FlowRunFilter) -> None:
        moments = given.start_time or given.expected_start_time
        if moments is not None:
            self.fields |= {"after": moments.after_, "before": moments.before_}
        if given.deployment_id is not None:
            self.fields["deployment_id"] = _one(given.deployment_id, "FlowRunFilter.deployment_id")
        if given.parent_flow_run_id is not None:
            self.above(given.parent_flow_run_id, "FlowRunFilter.parent_flow_run_id")

    def above(self, given: _Ids, named: str) -> Self:
        """The flow run above."""
        self.fields["flow_run_id"] = _one(given, named)
        return self

    def deployment(self, given: DeploymentFilter | None) -> Self:
        if given is not None:
            _refuse(given.name, "DeploymentFilter.name", "DeploymentFilter.id")
            if given.id is not None:
                self.fields["deployment_id"] = _one(given.id, "DeploymentFilter.id")
        return self

    def made(self) -> RunFilter:
        return msgspec.convert(self.fields, RunFilter)

    def _put(self, name: str, values: list[Any] | None) -> None:
        if values is not None:
            self.fields[name] = tuple(values)


def _one(given: _Ids, named: str) -> UUID:
    ids = given.any_ or []
    if len(ids) != 1:
        raise NameNotOffered(f"{named}.any_ takes one id here; it has {len(ids)}.")
    return ids[0] if isinstance(ids[0], UUID) else UUID(ids[0])


def _refuse(value: Any, named: str, instead: str) -> None:
    if value is not None:
        raise NameNotOffered(f"{named} is not offered by Penstock; the nearest is {instead}.")


def log_filter(given: LogFilter | None) -> tuple[UUID | None, OurLogFilter]:
    """The flow run whose lines are wanted, and which of them."""
    if given is None:
        return None, OurLogFilter()
    level = given.level.ge_ if given.level is not None else None
    run = None if given.flow_run_id is None else _one(given.flow_run_id, "LogFilter.flow_run_id")
    return run, OurLogFilter(level=level or 0)
