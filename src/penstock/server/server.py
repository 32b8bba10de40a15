"""One server process: settings → record → desk → application → uvicorn."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import Callable, Collection
from datetime import UTC, datetime

import uvicorn

from ..api.app import make_app
from ..api.gate import Gate, check_exposure, is_loopback
from ..api.hub import Hub
from ..api.meters import Meters
from ..api.pool import Pool
from ..api.service import Service
from ..api.wall import LOOPBACK
from ..domain.errors import ConfigurationError
from ..domain.retention import Ages
from ..engine import identity
from ..protocol.admin import ShownSetting
from ..services.desk import Desk
from ..services.loops import LOOPS
from ..services.loops.supervisor import NoMeters, Supervisor
from ..services.tallies import CountedStore
from ..settings import Settings
from ..settings.kinds import written
from ..settings.table import SETTINGS
from ..store.contract import Store
from ..store.opening import open_store
from ..vault import Vault
from . import garbage, notice, notifications
from .connections import Connection

# Of the ten seconds in which a server ends: for requests under way; for a loop under way.
DRAIN_SECONDS = 6
LOOP_PATIENCE = 2.0
BACKLOG = 2048
TURN_SECONDS = 0.0005
# The longest message that a client may send over a WebSocket: it has nothing to say there.
LONGEST_MESSAGE = 64_000

_log = logging.getLogger("penstock.server")

_new_loop: Callable[[], asyncio.AbstractEventLoop] | None
try:
    from uvloop import new_event_loop as _new_loop
except ImportError:  # Windows has none
    _new_loop = None


def run(
    settings: Settings, *, version: str, loops: bool = True, ready: Callable[[str], None] = lambda url: None
) -> None:
    """Serves until the process is told to end; `ready(url)` when it listens.

    Raises `ConfigurationError` for an address that cannot be had, and for one that strangers could reach unasked;
    `RecordError` when the record cannot be opened.
    """
    store = open_record(settings)
    try:
        check_exposure(settings, settings.server_api_host, store)
        with listen(settings.server_api_host, settings.server_api_port) as listening:
            url = url_of(settings.server_api_host, listening)
            service = make_service(settings, store, version, settings.ui_url or url.removesuffix("/api"))
            app = make_app(service, hosts=hosts_of(settings))
            supervisors = (
                Supervisor(service.desk, LOOPS, service.meters),
                Supervisor(service.desk, notifications.LOOPS, NoMeters(), notifications.LEAD),
            )
            server = _Server(_config(settings, app), service.hub, lambda: ready(url))
            settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            noted = notice.put(settings.home, url)
            # Threads that record take a hundred turns in a transaction, during which nobody else writes; the event loop
            # would have each of them wait 5 ms.
            sys.setswitchinterval(TURN_SECONDS)
            try:
                if loops:
                    for supervisor in supervisors:
                        supervisor.start()
                with garbage.short_pauses(), asyncio.Runner(loop_factory=_new_loop) as runner:
                    runner.run(server.serve([listening]))
            finally:
                if loops:
                    for supervisor in supervisors:
                        supervisor.stop(LOOP_PATIENCE)
                notice.take_away(settings.home, noted)
    finally:
        store.close()


def open_record(settings: Settings) -> Store:
    """The record that the settings name."""
    address = settings.database_url or settings.database_path
    return open_store(address, spool_folder=settings.home / "spool", direct=settings.database_direct_url)


def make_service(settings: Settings, store: Store, version: str, ui_url: str | None = None) -> Service:
    """`ui_url` is where people reach the UI: what they are told of runs has links to it."""
    meters = Meters()
    store = CountedStore(store, meters)
    desk = Desk(
        store, Vault(settings.home / "secret.key", settings.encryption_key), _now, identity.lives, "the server",
        version=version, settings=shown(settings), ui_url=ui_url, ages=Ages.of(settings),
    )  # fmt: skip
    gate = Gate(store, settings, _now)
    return Service(
        desk=desk, gate=gate, pool=Pool(), hub=Hub(store), meters=meters, body_limit=settings.server_body_limit
    )


def shown(settings: Settings) -> tuple[ShownSetting, ...]:
    """All settings as they may be shown."""
    found = []
    for name, value in settings.items():
        hidden = SETTINGS[name].secret and value is not None
        text = "********" if hidden else None if value is None else written(value)
        found.append(ShownSetting(name, text, settings.source(name)))
    return tuple(found)


def hosts_of(settings: Settings) -> Collection[str] | None:
    """The names under which the server may be asked; None: any."""
    given = settings.server_allowed_hosts
    if "*" in given:
        return None
    if is_loopback(settings.server_api_host):
        return {*LOOPBACK, settings.server_api_host, *given}
    return {*LOOPBACK, *given} if given else None


def listen(host: str, port: int) -> socket.socket:
    """A socket at this address. Raises `ConfigurationError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigurationError(
            f"The server cannot listen at {host!r}: there is no such address ({error}). Give one of this machine, or "
            "0.0.0.0 for all (--host, PENSTOCK_SERVER_API_HOST)."
        ) from None
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(_unusable(host, port, error)) from None
    return listening


def _unusable(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} at {host} is in use. Is a server running already (`penstock server status`)? Choose another "
            "port with --port or PENSTOCK_SERVER_API_PORT."
        )
    if error.errno == errno.EACCES:
        return f"This user may not listen at port {port}. Choose one above 1023 (--port, PENSTOCK_SERVER_API_PORT)."
    return f"The server cannot listen at {host}:{port}: {error.strerror or error}. Give an address of this machine."


def url_of(host: str, listening: socket.socket) -> str:
    """Where clients of this machine reach the server."""
    port = listening.getsockname()[1]
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}/api"


def _config(settings: Settings, app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="asyncio",
        http=Connection,
        ws="websockets-sansio",
        ws_max_size=LONGEST_MESSAGE,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.server_trusted_proxies),
        forwarded_allow_ips=list(settings.server_trusted_proxies),
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=65,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which tells live streams that it ends before it waits for them to."""

    def __init__(self, config: uvicorn.Config, hub: Hub, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._hub = hub
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.close_streams()
        await super().shutdown(sockets)
        # What it was told is done with: raised again, it would end the process as if it had not been.
        self._captured_signals.clear()


def log_to_stderr() -> None:
    """What the server has to say goes to stderr, a line each; of uvicorn only what is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for name, level in (("penstock.server", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False


def _now() -> datetime:
    return datetime.now(UTC)
