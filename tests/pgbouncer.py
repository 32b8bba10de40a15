"""A real PgBouncer for tests, in transaction mode: a client has another connection of the database each time.

Law: as for `postgres`: it is the test run's own, and ends with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from .postgres import PASSWORD, USER, Server, _end_with_parent, _free_port, _somebody

# Of each database, for all clients.
CONNECTIONS = 3


@pytest.fixture(scope="session")
def pgbouncer(postgres_server: Server) -> Iterator[int]:
    """The port of a PgBouncer before the test run's PostgreSQL."""
    import psycopg

    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        if os.environ.get("PENSTOCK_TEST_REQUIRE_ALL") == "1":
            pytest.fail("pgbouncer is absent, and PENSTOCK_TEST_REQUIRE_ALL=1 asks for every tool", pytrace=False)
        pytest.skip("pgbouncer is absent")
    folder, port, user = postgres_server.folder / "bouncer", _free_port(), _somebody()
    folder.mkdir()
    (folder / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
    (folder / "ini").write_text(f"""
[databases]
* = host=127.0.0.1 port={postgres_server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder / "users"}
pool_mode = transaction
default_pool_size = {CONNECTIONS}
max_client_conn = 200
""")
    if user is not None:
        for each in (folder, *folder.iterdir()):
            os.chown(each, user.pw_uid, user.pw_gid)
    as_somebody = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(folder / "ini")], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            preexec_fn=_end_with_parent, **as_somebody,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                psycopg.connect(_through(postgres_server.url(), port), connect_timeout=5).close()
                break
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "log").read_text()) from None
                time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()


@pytest.fixture
def pooled_url(pgbouncer: int, postgres_url: str) -> str:
    """The way to this test's database through the pooler."""
    return _through(postgres_url, pgbouncer)
