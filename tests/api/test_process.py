"""A server as a process: how it begins, what it holds while it runs, how it ends; and the commands for all that."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from penstock.domain.runs import Holder
from penstock.server import notice
from penstock.services.loops import rescuing
from penstock.store import changes, holders
from penstock.store.sqlite import SqliteStore

from .kit import Record, Server

# What a server of a record in a file never needs.
HEAVY = {"pydantic", "cryptography", "rich", "httpx", "psycopg", "cloudpickle", "requests", "h11", "wsproto"}


def penstock(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=os.environ | environment
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done
    assert done.stderr.startswith("Error: "), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


# --- begin -----------------------------------------------------------------------------------------------------------


def test_a_server_is_small(server: Server) -> None:
    """Measured after its first requests, so that what is loaded late counts as well."""
    server.ask("POST", "/flow_runs/filter", {})
    server.ask("GET", "/metrics")
    resident = psutil.Process(server.process.pid).memory_info().rss
    assert resident < 80_000_000


def test_a_server_loads_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys, json; import penstock.cli.server, penstock.server.server, uvicorn.protocols.http.httptools_impl; "
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert not HEAVY & set(json.loads(loaded))


def test_a_port_in_use_is_said(server: Server) -> None:
    said = sentence(penstock("server", "start", "--port", str(server.parts.port)))
    assert f"Port {server.parts.port}" in said
    assert "in use" in said


def test_a_host_that_cannot_be_had_is_said() -> None:
    assert "'no.such.host.invalid'" in sentence(
        penstock("server", "start", "--host", "no.such.host.invalid", "--allow-anonymous")
    )
    assert "192.0.2.1" in sentence(
        penstock("server", "start", "--host", "192.0.2.1", "--allow-anonymous", "--port", "0")
    )


def test_a_record_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database at all" * 100)
    assert str(broken) in sentence(penstock("server", "start", "--port", "0", PENSTOCK_DATABASE_PATH=str(broken)))


def test_nothing_is_left_where_a_server_could_not_start(server: Server, penstock_home: Path) -> None:
    """Above all not a note that the other one is gone."""
    penstock("server", "start", "--port", str(server.parts.port))
    found = notice.find(penstock_home)
    assert found is not None
    assert found.pid == server.process.pid


# --- end -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_end_ends_well(server: Server, penstock_home: Path, how: signal.Signals) -> None:
    began = time.monotonic()
    assert server.stop(how) == 0
    assert time.monotonic() - began < 10
    assert notice.find(penstock_home) is None
    assert "Traceback" not in server.log.read_text()


def test_requests_under_way_are_answered_before_the_end(server: Server, record: Record) -> None:
    run = record.flow_run()
    with contextlib.closing(server.connection()) as connection:
        connection.request("GET", f"/api/flow_runs/{run.id}/wait?seen={run.version}&wait=60")
        while server.ask("GET", "/metrics").body.count(b"penstock_requests_at_the_record") == 0:
            pass
        assert server.stop() == 0
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["state_name"]) == (200, "Running")


def test_a_server_ends_also_when_a_client_does_not_read(server: Server, record: Record) -> None:
    run = record.flow_run()
    with server.stream(flow_run=str(run.id)):
        for _ in range(40):
            record.task_runs(run, *map(str, range(500)))
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10


# --- commands --------------------------------------------------------------------------------------------------------


def test_a_server_in_the_background(penstock_home: Path) -> None:
    started = penstock("server", "start", "--background", "--port", "0")
    try:
        assert started.returncode == 0, started.stderr
        found = notice.find(penstock_home)
        assert found is not None
        assert str(found.pid) in started.stdout
        status = penstock("server", "status", "--output", "json")
        facts = json.loads(status.stdout)
        assert (facts["status"], facts["url"], facts["pid"]) == ("ready", found.url, found.pid)
        assert "runs already" in sentence(penstock("server", "start", "--background", "--port", "0"))
    finally:
        stopped = penstock("server", "stop")
    assert stopped.returncode == 0, stopped.stderr
    assert not found.lives()
    assert json.loads(penstock("server", "status", "-o", "json").stdout)["status"] == "stopped"
    sentence(penstock("server", "stop"))


def test_a_server_that_cannot_start_in_the_background_says_why(server: Server, tmp_path: Path) -> None:
    other = {"PENSTOCK_HOME": str(tmp_path / "other")}
    said = sentence(penstock("server", "start", "-b", "--port", str(server.parts.port), **other))
    assert "in use" in said


def test_a_pid_of_another_process_is_no_server(penstock_home: Path) -> None:
    """A server was killed, and its pid is another process's now."""
    penstock_home.mkdir(parents=True)
    (penstock_home / "server.json").write_text(
        json.dumps({"pid": os.getpid(), "started": "1", "url": "http://127.0.0.1:1/api"})
    )
    assert "No server" in sentence(penstock("server", "stop"))


def test_status_waits_for_a_server(start_server: Callable[..., Server], penstock_home: Path) -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-m", "penstock", "server", "status", "--wait", "--timeout", "30"], stdout=subprocess.PIPE
    )
    start_server()
    out, _ = waiting.communicate(timeout=40)
    assert (waiting.returncode, b"ready" in out) == (0, True)


def test_a_backup_is_whole_and_of_one_moment(server: Server, record: Record, tmp_path: Path) -> None:
    """While others write without a pause."""
    run = record.flow_run()
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            record.task_runs(run, *map(str, range(100)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copied = penstock("server", "database", "backup", str(tmp_path / "copy.db"))
    finally:
        done.set()
        writer.join()
    assert copied.returncode == 0, copied.stderr
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0
    assert [each.name for each in tmp_path.glob("copy.db*")] == ["copy.db"]
    checked = penstock("server", "database", "check", PENSTOCK_DATABASE_PATH=str(tmp_path / "copy.db"))
    assert checked.returncode == 0, checked.stderr
    store = SqliteStore(tmp_path / "copy.db")
    with store.read() as tx:
        (task_runs,) = tx.row("SELECT count(*) FROM task_run") or (None,)
        assert task_runs % 100 == 0
    store.close()
    assert "is there already" in sentence(penstock("server", "database", "backup", str(tmp_path / "copy.db")))


def test_a_damaged_record_is_told_from_a_whole_one(record: Record, penstock_home: Path) -> None:
    for _ in range(200):
        record.flow_run()
    record.store.close()
    path = penstock_home / "penstock.db"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8192)
    assert "damaged" in sentence(penstock("server", "database", "check"))


def test_an_upgrade_can_be_looked_at_first(record: Record, penstock_home: Path) -> None:
    done = penstock("server", "database", "upgrade", "--dry-run")
    assert (done.returncode, "the newest" in done.stdout) == (0, True)


def test_what_is_old_goes_when_it_is_asked_for(record: Record, penstock_home: Path) -> None:
    """Runs of 2020; a look changes nothing."""
    from penstock.domain.states import make

    old = datetime(2020, 1, 1, tzinfo=UTC)
    run = record.flow_run("Completed")
    run.created, run.states = old, (make("Completed", old),)
    record.put(run)
    record.flow_run("Running")
    for look in ("--dry-run", "--dry-run"):
        assert penstock("server", "database", "prune", look).stdout == "Would delete 1 flow run.\n"
    assert penstock("server", "database", "prune").stdout == "Deleted 1 flow run.\n"
    assert penstock("server", "database", "prune").stdout == "Deleted nothing.\n"


# --- loops -----------------------------------------------------------------------------------------------------------


def test_runs_of_dead_processes_are_closed(server: Server, record: Record) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        from penstock.engine import identity

        me = identity.me()
        holder = Holder(me.host, me.boot, process.pid, identity.started(process.pid) or "", me.namespace)
        run = record.flow_run(holder=holder)
        with server.stream(flow_run=str(run.id)) as stream:
            stream.take(2)
            process.kill()
            process.wait()
            assert stream.take(1)[0].data["state_name"] == "Crashed"


def test_nobody_is_dead_because_the_server_was_away(record: Record) -> None:
    """A process of another machine could not keep its lease meanwhile."""
    far = Holder("elsewhere", "boot", 1, "1")
    run = record.flow_run(holder=far)
    moment = datetime(2026, 11, 2, tzinfo=UTC)
    with record.store.write() as tx:
        holders.put(tx, far, moment - timedelta(hours=1), False)
    desk = _desk(record, moment)
    rescuing.begin(desk)
    rescuing.once(desk)
    assert _state(record, run.id) == "Running"
    rescuing.once(_desk(record, moment + rescuing.GRACE + timedelta(seconds=1)))
    assert _state(record, run.id) == "Crashed"


def test_a_server_that_begins_to_lead_gives_the_living_time_to_be_heard(
    record: Record, start_server: Callable[..., Server]
) -> None:
    far = Holder("elsewhere", "boot", 1, "1")
    run = record.flow_run(holder=far)
    with record.store.write() as tx:
        holders.put(tx, far, datetime.now(UTC) - timedelta(hours=1), False)
    server = start_server()
    _until(lambda: b'penstock_loop_runs_total{loop="rescue",ended="ok"}' in server.ask("GET", "/metrics").body)
    assert _state(record, run.id) == "Running"


def _desk(record: Record, now: datetime):  # type: ignore[no-untyped-def]
    from penstock.services.desk import Desk
    from penstock.vault import Vault

    return Desk(record.store, Vault(Path("unused")), lambda: now, lambda holder: None, "the test")


def _state(record: Record, run_id: object) -> str:
    from penstock.store import flow_runs

    with record.store.read() as tx:
        run = flow_runs.get(tx, run_id)  # type: ignore[arg-type]
    assert run is not None
    return run.state_name


def test_one_of_two_servers_leads_and_the_other_takes_over(start_server: Callable[..., Server]) -> None:
    first = start_server()
    _until(lambda: b"penstock_leading 1" in first.ask("GET", "/metrics").body)
    second = start_server()
    assert b"penstock_leading 0" in second.ask("GET", "/metrics").body
    first.stop(signal.SIGKILL)
    _until(lambda: b"penstock_leading 1" in second.ask("GET", "/metrics").body)


def test_what_is_kept_for_a_while_is_forgotten_after_it(record: Record) -> None:
    from penstock.services.loops import pruning

    run = record.flow_run()
    for _ in range(pruning.LEAST_CHANGES + 50):
        record.put(run)
    pruning.once(_desk(record, datetime.now(UTC) + pruning.CHANGES_KEPT + timedelta(hours=1)))
    with record.store.read() as tx:
        assert changes.last(tx) - changes.first(tx) + 1 == pruning.LEAST_CHANGES


def test_leases_of_processes_that_have_ended_are_forgotten_after_a_while(record: Record) -> None:
    from penstock.services.loops import pruning

    now = datetime.now(UTC)
    gone, living = Holder("far-away", "boot", 7, "1"), Holder("far-away", "boot", 8, "2")
    with record.store.write() as tx:
        holders.put(tx, gone, now - pruning.LEASES_KEPT - timedelta(seconds=1), False)
        holders.put(tx, living, now, False)
    pruning.once(_desk(record, now))
    with record.store.read() as tx:
        assert holders.lease_of(tx, gone) is None
        assert holders.lease_of(tx, living) is not None


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_socket_of_its_own_is_not_inherited(server: Server) -> None:
    """The port is free as soon as the server is gone."""
    port = server.parts.port
    server.stop()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
