"""`penstock server`: start, stop and look at a server, and keep its record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from penstock.cli.main import LazyGroup
from penstock.cli.output import JSON, output_option, print_fields, print_json
from penstock.domain.errors import ConfigurationError, PenstockError, ServerUnavailableError
from penstock.settings import (
    PENSTOCK_SERVER_ALLOW_ANONYMOUS,
    PENSTOCK_SERVER_API_HOST,
    PENSTOCK_SERVER_API_PORT,
    Setting,
    current,
    temporary_settings,
)

# Of a server in the background: how long it may take to be there, or to be gone.
START_SECONDS = 20.0
STOP_SECONDS = 15.0
LOOK_EVERY = 0.02
LOG_NAME = "server.log"


COMMANDS = {"database": ("penstock.cli.server_database:database", "Keep the record: upgrade, back up, check.")}


@click.group(cls=LazyGroup, table=COMMANDS)
def server() -> None:
    """Start and manage a server."""


@server.command()
@click.option("--host", metavar="ADDRESS", help="Listen at this address [default: PENSTOCK_SERVER_API_HOST].")
@click.option("--port", type=click.IntRange(0, 65_535), help="Listen at this port; 0: one that is free.")
@click.option("--background", "-b", is_flag=True, help="Go on in the background, once it is healthy.")
@click.option("--no-loops", is_flag=True, help="Only answer: leave rescue and pruning to other servers.")
@click.option(
    "--allow-anonymous", is_flag=True, help="Start also where others reach a server at which nobody signs in."
)
def start(host: str | None, port: int | None, background: bool, no_loops: bool, allow_anonymous: bool) -> None:
    """Start a server on the record that the settings name.

    It ends on Ctrl-C or SIGTERM, after the requests under way.
    """
    given: dict[Setting[object] | str, object] = {}
    if host is not None:
        given[PENSTOCK_SERVER_API_HOST.name] = host
    if port is not None:
        given[PENSTOCK_SERVER_API_PORT.name] = port
    if allow_anonymous:
        given[PENSTOCK_SERVER_ALLOW_ANONYMOUS.name] = True
    with temporary_settings(given):
        if background:
            _start_in_background(no_loops)
        else:
            _serve(no_loops)


def _serve(no_loops: bool) -> None:
    from penstock import __version__
    from penstock.server import server as serving

    serving.log_to_stderr()
    serving.run(current(), version=__version__, loops=not no_loops, ready=_say_ready)


def _say_ready(url: str) -> None:
    click.echo(f"Penstock serves {_record()} at {url.removesuffix('/api')}")
    click.echo(f"Scripts report to it with PENSTOCK_API_URL={url}; Ctrl-C ends it.")
    sys.stdout.flush()


def _record() -> str:
    """The record, by an address that has no password in it."""
    settings = current()
    if settings.database_url is None:
        return str(settings.database_path)
    from urllib.parse import urlsplit

    parts = urlsplit(settings.database_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _start_in_background(no_loops: bool) -> None:
    from penstock.server import notice

    settings = current()
    there = notice.find(settings.home)
    if there is not None and there.lives() and _answers(there.url):
        raise ConfigurationError(
            f"A server of {settings.home} runs already, at {there.url} (pid {there.pid}). To end it: `penstock server "
            "stop`."
        )
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = settings.home / LOG_NAME
    command = [sys.executable, "-m", "penstock", "server", "start", *(["--no-loops"] if no_loops else [])]
    begin = log.stat().st_size if log.exists() else 0
    with log.open("ab") as output:
        log.chmod(0o600)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env=os.environ | settings.to_environment(),
        )  # fmt: skip

    def is_there() -> bool:
        if process.poll() is not None:
            raise ServerUnavailableError(_last_words(log, begin))
        found = notice.find(settings.home)
        return found is not None and found.pid == process.pid and _answers(found.url)

    if not _until(is_there, START_SECONDS):
        raise ServerUnavailableError(
            f"The server (pid {process.pid}) has not answered for {START_SECONDS:.0f} seconds; {log} may say why."
        )
    found = notice.find(settings.home)
    url = found.url if found is not None else ""
    click.echo(f"Penstock serves {_record()} at {url.removesuffix('/api')} (pid {process.pid}); its log is {log}.")


def _last_words(log: Path, begin: int) -> str:
    """What a server that did not start has said."""
    with log.open("rb") as file:
        file.seek(begin)
        said = file.read().decode(errors="replace").strip().splitlines()
    return said[-1].removeprefix("Error: ") if said else f"The server ended at once; {log} may say why."


@server.command()
def stop() -> None:
    """End the server of this PENSTOCK_HOME, after the requests under way."""
    from penstock.infrastructure.process import Process, send
    from penstock.server import notice

    home = current().home
    there = notice.find(home)
    if there is None or not there.lives():
        if there is not None:
            notice.take_away(home, there)
        raise ServerUnavailableError(f"No server of {home} runs on this machine.")
    send(Process(there.pid, there.started), signal.SIGTERM)
    if not _until(lambda: not there.lives(), STOP_SECONDS):
        raise ServerUnavailableError(
            f"The server (pid {there.pid}) was told to end and has not within {STOP_SECONDS:.0f} seconds. To end it "
            f"at once: kill -9 {there.pid}. What it had answered is recorded."
        )
    click.echo(f"Stopped the server at {there.url} (pid {there.pid}).")


@server.command()
@click.option("--wait", is_flag=True, help="Wait until the server is ready.")
@click.option("--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds to wait.")
@output_option
def status(wait: bool, timeout: float, output: str) -> None:
    """Ask the server whether it is ready: that of PENSTOCK_API_URL, else that of this PENSTOCK_HOME.

    Exit code 1, if it is not.
    """
    facts = _facts()
    if wait and facts["status"] != "ready":
        _until(lambda: _facts()["status"] == "ready", timeout)
        facts = _facts()
    if output == JSON:
        print_json(facts)
    else:
        labels = {"status": "Status", "url": "API", "pid": "Process", "version": "Version", "problem": "Problem"}
        print_fields({label: facts[name] for name, label in labels.items() if facts.get(name) is not None})
    if facts["status"] != "ready":
        raise click.exceptions.Exit(1)


def _facts() -> dict[str, object]:
    from penstock.protocol.admin import READ_READY, READ_VERSION
    from penstock.protocol.operation import Nothing
    from penstock.server import notice
    from penstock.transport import Transport

    settings = current()
    there = notice.find(settings.home)
    if there is not None and not there.lives():
        there = None
    url = settings.api_url or (there.url if there is not None else None)
    facts: dict[str, object] = {"status": "stopped", "url": url, "pid": there and there.pid, "version": None}
    if url is None:
        facts["problem"] = f"No server of {settings.home} runs on this machine, and PENSTOCK_API_URL is not set."
        return facts
    transport = Transport(url, key=settings.api_key, basic=settings.api_auth_string, patience=0.0)
    try:
        facts["version"] = transport.call(READ_VERSION, Nothing()).version
        facts["status"] = "not ready"
        transport.call(READ_READY, Nothing())
        facts["status"] = "ready"
    except PenstockError as error:
        facts["problem"] = str(error)
    finally:
        transport.close()
    return facts


def _answers(url: str) -> bool:
    from penstock.protocol.admin import READ_HEALTH
    from penstock.protocol.operation import Nothing
    from penstock.transport import Transport

    transport = Transport(url, patience=0.0)
    try:
        return transport.call(READ_HEALTH, Nothing()).status == "ok"
    except PenstockError:
        return False
    finally:
        transport.close()


def _until(true: Callable[[], bool], seconds: float) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_EVERY)
    return True
