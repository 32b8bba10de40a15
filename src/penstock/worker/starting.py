"""Making a worker of this process, from the settings, and running it until it is told to end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from .. import __version__, connect
from ..domain.errors import ConfigurationError
from ..engine import identity
from ..infrastructure import drivers
from ..infrastructure.contract import Driver
from ..settings import Settings, current
from .aside import Aside
from .worker import Worker

# What a launched process needs to reach the record that its worker uses.
PASSED_ON = (
    "PENSTOCK_API_URL",
    "PENSTOCK_API_KEY",
    "PENSTOCK_API_AUTH_STRING",
    "PENSTOCK_DATABASE_URL",
    "PENSTOCK_DATABASE_DIRECT_URL",
)


def make_driver(type: str, settings: Settings) -> Driver:
    """Raises `InfrastructureRefused` for a type that this version does not know."""
    return drivers.make(type, Path(settings.home).absolute() / "launches")


def environment(type: str, settings: Settings) -> dict[str, str]:
    """The settings by which what is launched reports to the same record. Raises `ConfigurationError` where it cannot:
    a container has no part in a record that is a file of this machine."""
    known = {
        "PENSTOCK_API_URL": settings.api_url,
        "PENSTOCK_API_KEY": settings.api_key,
        "PENSTOCK_API_AUTH_STRING": settings.api_auth_string,
        "PENSTOCK_DATABASE_URL": settings.database_url,
        "PENSTOCK_DATABASE_DIRECT_URL": settings.database_direct_url,
    }
    passed = {name: str(known[name]) for name in PASSED_ON if known[name] is not None}
    if type in drivers.LOCAL:
        return {**passed, "PENSTOCK_HOME": str(Path(settings.home).absolute())}
    if settings.api_url is None and not str(settings.database_url or "").startswith("postgres"):
        raise ConfigurationError(
            f"Runs of type {type!r} cannot reach a record in a file of this machine: start a server (`penstock server "
            "start`), and set PENSTOCK_API_URL to where they reach it."
        )
    return passed


def start(
    type: str,
    *,
    name: str | None = None,
    work_pool: str | None = None,
    queues: Sequence[str] = (),
    deployments: Sequence[UUID] = (),
    limit: int | None = None,
    once: bool = False,
    say: Callable[[str], None],
    line: Callable[[str], None] | None = None,
    way: str = "worker",
) -> None:
    """Works until SIGTERM or Ctrl-C and the end of the runs under way; a second one leaves them to the next worker.

    Without a server, this process also does what a server does by itself (plans runs, closes the dead).
    """
    settings = current()
    driver, env = make_driver(type, settings), environment(type, settings)
    # (Whoever reads its output, or does not, is no reason for a worker to wait.)
    with connect.tend(), Aside() as aside:
        say = aside.wrap(say)
        worker = Worker(
            driver,
            partial(connect.call, way=way),
            name=name or f"{socket.gethostname()}-{os.getpid()}",
            holder=identity.me(),
            version=__version__,
            work_pool=work_pool,
            queues=queues,
            deployments=deployments,
            limit=limit,
            env=env,
            say=say,
            line=None if line is None else aside.wrap(line),
        )
        with _told_to_end(worker, say):
            worker.run(once=once)


@contextlib.contextmanager
def _told_to_end(worker: Worker, say: Callable[[str], None]) -> Iterator[None]:
    """The first signal drains, the second ends. (Elsewhere than in the main thread there are none.)"""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def told(number: int, frame: Any) -> None:
        if told.times:  # type: ignore[attr-defined]
            worker.close()
            return
        told.times = 1  # type: ignore[attr-defined]
        count = len(worker.running)
        if count:
            runs = "1 run" if count == 1 else f"{count} runs"
            say(f"Taking no more runs; waiting for {runs} to end. Once more leaves them to the next worker.")
        worker.drain()

    told.times = 0  # type: ignore[attr-defined]
    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def line_to_terminal(text: str) -> None:
    """What a run wrote, as it wrote it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
