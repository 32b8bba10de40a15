"""Errors on the wire: the status of each, and the error that a client raises for one."""

from __future__ import annotations

from typing import Any

import msgspec

from ..domain import errors, filters, ids
from ..domain.errors import PenstockError

# By the error's class, its nearest ancestor in the table; what is not listed is a fault of ours: 500.
STATUS: dict[type[PenstockError], int] = {
    errors.BadRequest: 400,
    errors.NotSignedIn: 401,
    errors.NotAllowed: 403,
    errors.ObjectNotFound: 404,
    errors.AmbiguousId: 409,
    errors.TransitionRefused: 409,
    errors.LinkRefused: 410,
    errors.UnfinishedRun: 409,
    errors.NameTaken: 409,
    errors.TooLarge: 413,
    errors.DecryptionError: 409,
    errors.UnreadableBlock: 409,
    errors.UnknownBlockType: 422,
    errors.InvalidName: 422,
    errors.UnstorableValue: 422,
    errors.ConcurrencyError: 422,
    errors.KeyReused: 422,
    errors.ParameterError: 422,
    errors.InputRefused: 422,
    errors.SchemaError: 422,
    errors.ScheduleError: 422,
    errors.AutomationError: 422,
    errors.DeploymentError: 422,
    errors.WorkPoolError: 422,
    errors.DefinitionError: 422,
    filters.FilterError: 422,
    ids.InvalidId: 422,
    errors.VersionSkew: 426,
    errors.TooMuch: 429,
    errors.RecordError: 503,
}


class Problem(msgspec.Struct, omit_defaults=True):
    """An error as it is answered: `code` for programs, `message` for people; `retry_after` in seconds."""

    code: str
    message: str
    retry_after: float | None = None


class Problems(msgspec.Struct):
    """The body of every answer that is not a success."""

    error: Problem


def status_of(error: PenstockError) -> int:
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def problem_of(error: PenstockError) -> Problem:
    return Problem(error.code, str(error), getattr(error, "retry_after", None))


def error_of(problem: Problem) -> PenstockError:
    """The error that was answered, as an exception of its own class."""
    error = _classes().get(problem.code, PenstockError)(problem.message)
    if problem.retry_after is not None and isinstance(error, errors.TooMuch):
        error.retry_after = problem.retry_after
    return error


def _classes() -> dict[str, type[PenstockError]]:
    found: dict[str, type[PenstockError]] = {}
    waiting: list[Any] = [PenstockError]
    while waiting:
        kind = waiting.pop()
        found.setdefault(kind.code, kind)
        waiting.extend(kind.__subclasses__())
    return found
