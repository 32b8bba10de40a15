"""Where things are measured: a record in a fresh database, and a server on it.

Law: nothing of it outlives the measurement. Databases are on this machine's disk, and as durable as they come: SQLite
as Penstock opens it, PostgreSQL with its own defaults.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from penstock.store.contract import Store
from penstock.store.opening import open_store

ROOT = Path(__file__).parent.parent
SQLITE, POSTGRES = "sqlite", "postgres"
NAMES = {SQLITE: "SQLite", POSTGRES: "PostgreSQL"}
MEBIBYTE = 1 << 20
HEALTHY_SECONDS = 60.0
END_SECONDS = 30.0
LOOK_EVERY = 0.002
POSTGRES_SETTINGS = "max_connections=100"


def environment(**settings: str) -> dict[str, str]:
    """This process's, without settings of Penstock that would change what is measured; and modules are compiled once,
    and not by each process, as everywhere where nobody forbids it."""
    dropped = ("PENSTOCK_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    paths = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), **settings}


@dataclass(frozen=True)
class Place:
    """A home with a record of its own; `url` is the database's address, None for the file in the home."""

    kind: str
    home: Path
    url: str | None = None

    def settings(self) -> dict[str, str]:
        found = {"PENSTOCK_HOME": str(self.home)}
        return found if self.url is None else {**found, "PENSTOCK_DATABASE_URL": self.url}

    @contextlib.contextmanager
    def open(self) -> Iterator[Store]:
        """The record itself, not by way of the server."""
        address = self.home / "penstock.db" if self.url is None else self.url
        with contextlib.closing(open_store(address, spool_folder=self.home / "spool")) as store:
            yield store

    def vacuum(self) -> None:
        """PostgreSQL does it by itself a minute after so much was written; that minute is not waited for."""
        if self.url is not None:
            import psycopg

            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")

    def count(self, since: datetime | None = None) -> dict[str, int]:
        """Rows by kind, of runs only those that completed; those made `since` then."""
        after = 0 if since is None else int(since.timestamp() * 1e6)
        with self.open() as store, store.read() as tx:
            counted = {}
            for kind, table in (("flow runs", "flow_run"), ("task runs", "task_run"), ("lines", "log")):
                where = (
                    "at >= ?" if table == "log" else "created >= ? AND state_type = 'COMPLETED' AND ended IS NOT NULL"
                )
                row = tx.row(f"SELECT count(*) FROM {table} WHERE {where}", (after,))
                counted[kind] = int(row[0]) if row else 0
            return counted


class Databases:
    """Fresh records of either kind. PostgreSQL is started when it is first wanted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._exit = contextlib.ExitStack()
        self._postgres: object = None
        self._postmaster: psutil.Process | None = None

    def __enter__(self) -> Databases:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @contextlib.contextmanager
    def fresh(self, kind: str) -> Iterator[Place]:
        with contextlib.ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True)))
            url = None
            if kind == POSTGRES:
                url = stack.enter_context(self._server().database())  # type: ignore[attr-defined]
            yield Place(kind, home, url)

    def postgres_version(self) -> str:
        with self.fresh(POSTGRES) as place, place.open() as store, store.read() as tx:
            row = tx.row("SHOW server_version")
        return str(row[0]).split()[0] if row else "?"

    def _server(self) -> object:
        if self._postgres is None:
            from tests.postgres import Server as PostgresServer
            from tests.postgres import binaries

            if binaries() is None:
                sys.exit("PostgreSQL is absent (no initdb on the PATH): install it, or measure --database sqlite.")
            # (Not below our own folder: PostgreSQL is another user's, where this is root's.)
            server = PostgresServer(POSTGRES_SETTINGS, where=Path(tempfile.gettempdir()))
            self._exit.callback(server.close)
            server.start()
            pid = int((server.data / "postmaster.pid").read_text().split()[0])
            self._postgres, self._postmaster = server, psutil.Process(pid)
        return self._postgres

    def processor_seconds(self, kind: str) -> float:
        """What the database's processes that live have used so far; SQLite's work is the server's own."""
        if kind == SQLITE or self._postmaster is None:
            return 0.0
        return sum(map(processor_seconds, [self._postmaster, *self._postmaster.children(recursive=True)]))


def processor_seconds(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """`penstock server start` on a place, healthy when this is made. `seconds_to_start` is from the command to its
    first answer to /api/health."""

    def __init__(self, place: Place, **settings: str) -> None:
        self.place = place
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self._log = place.home / "server-said.txt"
        command = [sys.executable, "-m", "penstock", "server", "start", "--port", str(self.port)]
        with self._log.open("ab") as log:
            began = time.perf_counter()
            self._process = subprocess.Popen(
                command, cwd=place.home, env=environment(**place.settings(), **settings), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        self.process = psutil.Process(self._process.pid)
        try:
            self._wait_until_healthy(began)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self.seconds_to_start = time.perf_counter() - began

    def _wait_until_healthy(self, began: float) -> None:
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() - began > HEALTHY_SECONDS:
                raise RuntimeError(f"The server does not start. It said:\n{self._log.read_text()}")
            time.sleep(LOOK_EVERY)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/api/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def memory(self) -> float:
        """Resident, MiB."""
        return float(self.process.memory_info().rss) / MEBIBYTE

    def processor_seconds(self) -> float:
        return processor_seconds(self.process)

    def complaints(self) -> list[str]:
        """What the server wrote to stderr: a server with nothing wrong writes nothing."""
        said = self._log.read_text(errors="replace").strip().splitlines()
        return [f"the server on {NAMES[self.place.kind]} said: {line}" for line in said[:5]]

    def stop(self) -> float:
        """Seconds from SIGTERM to its end."""
        began = time.perf_counter()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return time.perf_counter() - began


@contextlib.contextmanager
def serving(place: Place, wrong: Callable[[str], None], **settings: str) -> Iterator[Server]:
    """A server on this place, with these settings; what it complains of is `wrong`."""
    server = Server(place, **settings)
    try:
        yield server
    finally:
        server.stop()
    for complaint in server.complaints():
        wrong(complaint)
