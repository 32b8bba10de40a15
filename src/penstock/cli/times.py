"""Times and spans as people type them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from penstock.domain import filters
from penstock.domain.errors import PenstockError


class Time(click.ParamType):  # type: ignore[type-arg]  # older ones take none
    """An ISO date or time, with an offset or without; the seconds may be left out."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError:
            self.fail(f"{value!r} is not a time; write 2026-06-30T06:00, or 2026-06-30T06:00+02:00.", param, ctx)


class Span(click.ParamType):  # type: ignore[type-arg]
    """Seconds, or a span such as 90s, 30m, 2h, 1d12h; as seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            seconds = float(value)
        except ValueError:
            try:
                seconds = filters.span(value).total_seconds()
            except PenstockError:
                self.fail(f"{value!r} is not a number of seconds, nor a span such as 30m or 1d12h.", param, ctx)
        if not 0 <= seconds <= timedelta(days=36_525).total_seconds():
            self.fail(f"{value!r} is not a number of seconds from 0 to a hundred years.", param, ctx)
        return seconds
