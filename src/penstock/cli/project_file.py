"""`penstock.yaml`: the deployments of a project, as they are written down beside its code.

Law: the file is data. The only thing in it that is filled in is `{{ $NAME }}`, by the environment; nothing else is
evaluated, and a field that is not known is an error, not a thing that is silently left out.
"""

from __future__ import annotations

import os
import re
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import msgspec

from penstock.cli.schedules import moment_in
from penstock.domain.concurrency_keys import Rate
from penstock.domain.deployments import Collision
from penstock.domain.errors import DeploymentError
from penstock.domain.schedules import CronSchedule, IntervalSchedule, OneOffSchedule, RRuleSchedule
from penstock.protocol.deployments import ScheduleGiven

FILE = "penstock.yaml"
Json = dict[str, Any]
_VARIABLE = re.compile(r"\{\{\s*\$([A-Za-z_]\w*)\s*\}\}")
_PLACE = re.compile(r"\{\{.*?\}\}")
# How a schedule is described, and what may stand beside it; all else is a schedule's policy (see `ScheduleGiven`).
_KINDS = {
    "cron": ("timezone", "day_or"),
    "interval": ("timezone", "anchor_date"),
    "rrule": ("timezone",),
    "at": ("timezone",),
}
_POLICIES = ("active", "slug", "parameters", "catchup", "catchup_window", "overlap", "jitter")
# Of the file itself; the second are other tools' and people's own.
_TOP = ("deployments", "pull", "definitions", "name", "prefect-version", "penstock-version")


class Pool(msgspec.Struct, forbid_unknown_fields=True):
    """Where a deployment's runs wait."""

    name: str
    work_queue_name: str | None = None
    job_variables: Json = {}


class Limit(msgspec.Struct, forbid_unknown_fields=True):
    limit: int
    collision_strategy: Collision = Collision.ENQUEUE


class Written(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One deployment of the file. What is not written is as `flow.deploy()` has it."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    entrypoint: str
    flow_name: str | None = None
    version: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    parameters: Json = {}
    enforce_parameter_schema: bool = True
    work_pool: Pool | None = None
    schedule: Json | None = None
    schedules: tuple[Json, ...] | None = None
    paused: bool | None = None
    concurrency_limit: int | Limit | None = None
    priority: int | None = None
    concurrency_key: str | None = None
    concurrency_limit_per_key: int | None = None
    rate_limit_per_key: str | Rate | None = None
    grace: float | None = None
    start_timeout: float | None = None
    pull: tuple[Json, ...] | None = None

    def given_schedules(self) -> tuple[ScheduleGiven, ...] | None:
        """None where the file says nothing of schedules: those that there are stay."""
        if self.schedules is None and self.schedule is None:
            return None
        written = [*([self.schedule] if self.schedule else []), *(self.schedules or ())]
        return tuple(_schedule(each, self.name) for each in written)


class Project(msgspec.Struct):
    """A file as it was read; `folder` is where it is."""

    folder: Path
    deployments: tuple[Written, ...] = ()
    pull: tuple[Json, ...] = ()


def read(path: Path) -> Project:
    """Raises `DeploymentError`, which names the file, the deployment and what is wrong with it."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeploymentError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DeploymentError(f"{path} is no YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise DeploymentError(f"{path} is a mapping with `deployments:`, a list.")
    if "build" in content or "push" in content:
        raise DeploymentError(
            f"{path}: penstock builds and pushes no images; build it before (docker build), and name it by `image` in "
            "job_variables. Take `build` and `push` out."
        )
    _known(content, _TOP, str(path))
    content = _filled({key: each for key, each in content.items() if key != "definitions"}, str(path))
    found = content.get("deployments") or []
    if not isinstance(found, list):
        raise DeploymentError(f"{path}: `deployments` is a list.")
    made = tuple(_written(each, place, path) for place, each in enumerate(found, start=1))
    return Project(path.absolute().parent, made, _steps(content.get("pull"), str(path)))


def _written(raw: Any, place: int, path: Path) -> Written:
    if not isinstance(raw, dict):
        raise DeploymentError(f"{path}: deployment {place} is a mapping with `name` and `entrypoint`.")
    where = f"{path}: deployment {raw.get('name') or place!r}"
    _known(raw, Written.__struct_fields__, where)
    # (What is written without a value, as `schedule:`, is not given.)
    given = {key: each for key, each in raw.items() if each is not None and each != {}}
    if "pull" in given:
        given["pull"] = _steps(given["pull"], where)
    try:
        return msgspec.convert(given, Written, strict=False)
    except msgspec.ValidationError as error:
        raise DeploymentError(f"{where}: {error}.") from None


def _known(raw: Json, known: tuple[str, ...], where: str) -> None:
    for key in raw:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}."
            raise DeploymentError(f"{where} has {key!r}, which is no field{hint}")


def _steps(raw: Any, where: str) -> tuple[Json, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or not all(isinstance(each, dict) and len(each) == 1 for each in raw):
        raise DeploymentError(f"{where}: `pull` is a list of steps, each one {{step: its arguments}}.")
    return tuple(raw)


def _schedule(raw: Json, name: str) -> ScheduleGiven:
    where = f"deployment {name!r}: schedule {raw!r:.100}"
    kinds = [kind for kind in _KINDS if kind in raw]
    if len(kinds) != 1:
        raise DeploymentError(f"{where} has one of {', '.join(_KINDS)}.")
    kind = kinds[0]
    allowed = _KINDS[kind]
    _known(raw, (kind, *allowed, *_POLICIES), where)
    about = {key: raw[key] for key in allowed if key in raw}
    zone = str(about.pop("timezone", "UTC"))
    policies = {key: raw[key] for key in _POLICIES if raw.get(key) is not None}
    schedule: Any
    if kind == "cron":
        schedule = CronSchedule(str(raw[kind]), timezone=zone, **about)
    elif kind == "interval":
        anchor = about.get("anchor_date")
        schedule = IntervalSchedule(
            _number(raw[kind], where), anchor_date=None if anchor is None else _moment(anchor, zone), timezone=zone
        )
    elif kind == "rrule":
        schedule = RRuleSchedule(str(raw[kind]), timezone=zone)
    else:
        schedule = OneOffSchedule(_moment(raw[kind], zone))
    try:
        return msgspec.convert({"schedule": msgspec.to_builtins(schedule), **policies}, ScheduleGiven)
    except msgspec.ValidationError as error:
        raise DeploymentError(f"{where}: {error}.") from None


def _number(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DeploymentError(f"{where}: an interval is a number of seconds, not {value!r}.") from None


def _moment(value: Any, zone: str) -> datetime:
    """YAML has times; a time without a zone is read in the schedule's."""
    try:
        return moment_in(value if isinstance(value, datetime) else datetime.fromisoformat(str(value)), zone)
    except ValueError as error:
        raise DeploymentError(f"{value!r} is no time; write 2026-06-30T06:00. {error}") from None


def _filled(part: Any, where: str) -> Any:
    """With the environment's values in place of `{{ $NAME }}`."""
    if isinstance(part, dict):
        return {key: _filled(each, where) for key, each in part.items()}
    if isinstance(part, list):
        return [_filled(each, where) for each in part]
    if not isinstance(part, str):
        return part

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise DeploymentError(f"{where}: the environment variable {found[1]} is not set.")
        return os.environ[found[1]]

    strange = [each for each in _PLACE.findall(part) if not _VARIABLE.fullmatch(each)]
    if strange:
        raise DeploymentError(
            f"{where}: {strange[0]} is not filled in; only environment variables are, as {{{{ $NAME }}}}."
        )
    return _VARIABLE.sub(value, part)
