"""When deployments are run by themselves."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .domain.schedules import CatchUp as CatchUp
    from .domain.schedules import CronSchedule as CronSchedule
    from .domain.schedules import IntervalSchedule as IntervalSchedule
    from .domain.schedules import OneOffSchedule as OneOffSchedule
    from .domain.schedules import Overlap as Overlap
    from .domain.schedules import RRuleSchedule as RRuleSchedule

_PLACES = {
    "CatchUp": ("domain.schedules", "CatchUp"),
    "Cron": ("flows.schedules", "cron"),
    "CronSchedule": ("domain.schedules", "CronSchedule"),
    "Interval": ("flows.schedules", "interval"),
    "IntervalSchedule": ("domain.schedules", "IntervalSchedule"),
    "Once": ("flows.schedules", "once"),
    "OneOffSchedule": ("domain.schedules", "OneOffSchedule"),
    "Overlap": ("domain.schedules", "Overlap"),
    "RRule": ("flows.schedules", "rrule"),
    "RRuleSchedule": ("domain.schedules", "RRuleSchedule"),
}
__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module 'penstock.schedules' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    value = getattr(import_module(f"penstock.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
