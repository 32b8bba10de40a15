"""Retention: how old what may get, by kind; and what was, or would be, deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import msgspec


class RetentionSettings(Protocol):
    """The settings that say how long what is kept, in days."""

    @property
    def retention_runs_days(self) -> float | None: ...
    @property
    def retention_logs_days(self) -> float | None: ...
    @property
    def retention_events_days(self) -> float | None: ...
    @property
    def retention_artifacts_days(self) -> float | None: ...
    @property
    def retention_audit_days(self) -> float | None: ...


class Ages(msgspec.Struct, frozen=True, kw_only=True):
    """How long what is kept; None: for ever. Runs, and the log lines of runs, count from the end of the run; artifacts
    from when they were last changed, events from when the record had them. A pinned run (`keep`), one that has not
    ended, and all that is theirs, are not meant."""

    runs: timedelta | None = None
    logs: timedelta | None = None
    events: timedelta | None = None
    artifacts: timedelta | None = None
    audit: timedelta | None = None

    @classmethod
    def of_days(cls, **days: float | None) -> Ages:
        return cls(**{name: None if each is None else timedelta(days=each) for name, each in days.items()})

    @classmethod
    def of(cls, settings: RetentionSettings) -> Ages:
        return cls.of_days(
            runs=settings.retention_runs_days,
            logs=settings.retention_logs_days,
            events=settings.retention_events_days,
            artifacts=settings.retention_artifacts_days,
            audit=settings.retention_audit_days,
        )

    def before(self, name: str, now: datetime) -> datetime | None:
        """What is older than this is too old; None when nothing is."""
        age: timedelta | None = getattr(self, name)
        try:
            return None if age is None else now - age
        except OverflowError:  # older than the calendar
            return None


class Pruned(msgspec.Struct, kw_only=True):
    """How many were deleted. `cached` are cached results that had expired. `finished` is False when there was no time
    for all; `pages` of the database file were given back to the system."""

    flow_runs: int = 0
    task_runs: int = 0
    log_lines: int = 0
    events: int = 0
    artifacts: int = 0
    audit_entries: int = 0
    cached: int = 0
    pages: int = 0
    finished: bool = True
