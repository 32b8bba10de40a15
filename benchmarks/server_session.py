"""What all parts of the measurement share: what was asked for, where it is done, and what was found wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from . import report
from .server_place import NAMES, Databases


@dataclass
class Session:
    databases: Databases
    kinds: tuple[str, ...]
    quick: bool
    minutes: float
    repeat: int
    # Not slowness, but a lost row or an error answer.
    wrong: list[str] = field(default_factory=list)

    def complain(self, text: str) -> None:
        report.say(f"WRONG: {text}")
        self.wrong.append(text)

    def expect(self, what: str, kind: str, found: object, wanted: object) -> None:
        if found != wanted:
            self.complain(f"{what} on {NAMES[kind]}: {found} in the record, where {wanted} should be")


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def met(value: float, target: float) -> str:
    return "met" if value <= target else "NOT MET"
