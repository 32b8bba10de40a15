"""What an infrastructure must offer so that runs can be launched on it. The exam that holds a driver to it is in the
tests (`tests/infrastructure/exam.py`).

Law: a driver knows commands, environments and its own identifiers; it knows nothing of flows, records or servers. Every
call may block; each may be made from any thread, and for infrastructure that another process launched, before this one
began.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

import msgspec

from ..domain.errors import InfrastructureRefused
from ..domain.launches import Place

Json = dict[str, Any]
_OTHER = re.compile(r"[^a-z0-9]+")


class Exists(InfrastructureRefused):
    """There is one of that name."""


def one_line(said: object, most: int = 300) -> str:
    """What a vendor said, as a part of a sentence of ours."""
    return " ".join(str(said).split())[:most]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be launched. `name` is readable and not unique, `key` is unique and stays the same when the same job
    is launched once more: a driver that finds it there gives that one's place, and launches nothing.

    `command` is run with `env` over the infrastructure's own; `configuration` is the driver's filled-in template.
    """

    name: str
    key: str
    command: tuple[str, ...]
    env: dict[str, str]
    labels: dict[str, str]
    configuration: Json

    def unique_name(self, most: int, prefix: str = "") -> str:
        """Small letters, digits and dashes: so many characters of `name` at most, between `prefix` and what of `key`
        makes it unique. The same for the same job: who launches it second finds the name taken."""
        slug = _OTHER.sub("-", self.name.lower()).strip("-")[:most].strip("-")
        run, _, epoch = self.key.lower().partition("-")
        return "-".join(each for each in (prefix, slug or ("" if prefix else "run"), run[-16:], epoch) if each)


class Ended(msgspec.Struct, frozen=True):
    """How infrastructure ended: `code` is the exit code (negative: minus the signal's number), None where nobody saw
    it. `why` explains what is no matter of the program ("killed by the kernel: out of memory"); `lines` are the last
    that it wrote, where the driver has them. `gone`: it is not there (any more), and nothing is known of its end."""

    code: int | None = None
    why: str | None = None
    lines: tuple[str, ...] = ()
    gone: bool = False


class Stopped(msgspec.Struct, frozen=True):
    """How `stop` ended it: `how` is one of `domain.stops`: returned (it ended in its grace), killed, or gone (it was
    not there any more)."""

    how: str
    ended: Ended
    seconds: float


class Driver(Protocol):
    """One type of infrastructure, as it can be reached from here.

    Errors: `InfrastructureError` (of it: `InfrastructureNotAvailable`: it cannot be reached now, try again;
    `InfrastructureRefused`: this job can never be launched so, with a sentence that names what to change).
    """

    type: str
    # The type's own template: {"job_configuration": {...}, "variables": JSON schema}.
    base_job_template: Json

    def scope(self) -> str:
        """Where what is launched from here will be (`Place.scope`). Raises `InfrastructureNotAvailable`."""

    def launch(self, job: Job) -> Place:
        """Starts it, and gives where it is, at once: not when its program runs."""

    def wait(self, place: Place, timeout: float, line: Callable[[str], None] | None = None) -> Ended | None:
        """How it ended, as soon as that is so; None when it goes on after `timeout` seconds. `line` is given each line
        that it writes, where the driver can read them."""

    def started(self, place: Place) -> datetime | None:
        """When its program began; None while it has not (an image is pulled, a pod waits for a node)."""

    def problem(self, place: Place) -> str | None:
        """What keeps it from beginning, in a sentence; None: nothing that is known."""

    def stop(self, place: Place, grace: float) -> Stopped:
        """Asks it to end (SIGTERM), waits for `grace` seconds, ends it (SIGKILL) with all below it, and returns when it
        is gone. Raises `InfrastructureError` where it could not be ended."""

    def by_hand(self, place: Place) -> str:
        """The command that would end it, for a person."""

    def forget(self, place: Place) -> None:
        """Cleans up what is left of one that has ended. Nothing, when there is nothing."""
