"""The command line asks a server as it asks a record: the same words, the same exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from penstock.cli.main import root
from penstock.domain.runs import Holder, ResultRef
from penstock.settings import refresh
from penstock.store import holders
from penstock.store.sqlite import SqliteStore

from ..cli.records import Records, penstock
from ..flows.kit import SOURCE, Programs, until
from .kit import ServerProcess, free_port, serving

Run = Callable[..., Result]
HOUR = timedelta(hours=1)
# What runs and people leave in a record.
TABLES = (
    "flow_run", "task_run", "log", "flow", "variable", "block_document", "request", "pause", "holder",
)  # fmt: skip
ELSEWHERE = Holder("elsewhere", "boot", 7, "1")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server, and the folder of its record."""
    with serving(tmp_path_factory.mktemp("both")) as server:
        yield server


@pytest.fixture
def records(both: ServerProcess) -> Iterator[Records]:
    made = Records(SqliteStore(both.home / "penstock.db"))
    yield made
    with made.store.write() as tx:
        for table in (
            "flow_run",
            "task_run",
            "log",
            "flow",
            "variable",
            "block_document",
            "request",
            "pause",
            "holder",
        ):
            tx.run(f"DELETE FROM {table}")
    made.store.close()


@pytest.fixture
def run(both: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(served, "flow-run", "ls")`: a command in this process, on the record itself or on its server."""

    def invoke(served: bool, *arguments: str, **more: str) -> Result:
        monkeypatch.setenv("PENSTOCK_HOME", str(both.home))
        if served:
            monkeypatch.setenv("PENSTOCK_API_URL", both.url)
        else:
            monkeypatch.delenv("PENSTOCK_API_URL", raising=False)
        refresh()
        return CliRunner().invoke(root, arguments, **more)  # type: ignore[arg-type]

    return invoke


def filled(records: Records) -> dict[str, str]:
    """A record with one of everything, long ago enough that no clock shows; the ids of some."""
    parent = records.flow_run(
        "Pending", "Running", "Failed", ago=30 * HOUR, name="angry-ant", flow="etl", message="broken\npipe",
        tags=("nightly", "ü"), labels={"team": "data"}, run_count=2, parameters={"day": "'2026-01-01'"},
    )  # fmt: skip
    records.flow_run(ago=40 * HOUR, name="busy-bee", flow="load/all", flow_run_id=parent.id)
    records.flow_run("Cancelled", ago=50 * HOUR, name="twin")
    records.flow_run("Crashed", ago=50 * HOUR, name="twin")
    done = records.flow_run(
        "Running", "Completed", ago=60 * HOUR, name="calm-cat", keep=True,
        result=ResultRef("json", b'{"rows": 3}', size=11),
    )  # fmt: skip
    tasks = records.mapped(done, 25, failed=2)
    records.task_run(None, "Completed", name="alone-0")
    records.lines(parent, *(f"line {number}" for number in range(1, 40)))
    records.lines(tasks[0], "of a task\x1b[2J", start=39, level=40, file="etl.py", line=3, function="square")
    return {"parent": str(parent.id), "done": str(done.id), "task": str(tasks[0].id)}


READING = [
    ("flow", "ls"),
    ("flow", "ls", "-o", "json"),
    ("flow-run", "ls"),
    ("flow-run", "ls", "-o", "json"),
    ("flow-run", "ls", "--limit", "2", "-o", "json"),
    ("flow-run", "ls", "--state-type", "FAILED", "--flow-name", "etl", "--tag", "ü", "--name", "ANT"),
    ("flow-run", "ls", "--state", "Nowhere"),
    ("flow-run", "ls", "--after", "1h"),
    ("flow-run", "inspect", "{parent}"),
    ("flow-run", "inspect", "{done}"),
    ("flow-run", "inspect", "{done}", "-o", "json"),
    ("flow-run", "inspect", "angry-ant", "-o", "json"),
    ("flow-run", "inspect", "busy-bee"),
    ("flow-run", "inspect", "twin"),
    ("flow-run", "inspect", "nobody"),
    ("flow-run", "inspect", " "),
    ("flow-run", "logs", "{parent}"),
    ("flow-run", "logs", "{parent}", "-o", "json"),
    ("flow-run", "logs", "{parent}", "--tail", "3"),
    ("flow-run", "logs", "{parent}", "--head", "3", "--reverse"),
    ("flow-run", "logs", "{parent}", "--grep", "LINE 3", "--follow"),
    ("flow-run", "logs", "{done}", "--level", "ERROR", "--task", "square-0"),
    ("flow-run", "logs", "{done}", "--task", "{task}"),
    ("flow-run", "logs", "{done}", "--task", "nothing"),
    ("flow-run", "graph", "{done}"),
    ("flow-run", "graph", "{done}", "--all", "-o", "json"),
    ("flow-run", "graph", "{parent}", "-o", "json"),
    ("flow-run", "watch", "{parent}"),
    ("flow-run", "watch", "{done}", "-o", "json"),
    ("flow-run", "cancel", "--all", "--dry-run"),
    ("flow-run", "cancel", "{done}", "nobody", "-o", "json"),
    ("flow-run", "cancel", "--state", "Completed"),
    ("flow-run", "retry", "{done}"),
    ("flow-run", "retry", "{parent}"),
    ("task-run", "ls", "--flow-run", "calm-cat", "-o", "json"),
    ("task-run", "ls", "--state-type", "FAILED"),
    ("task-run", "inspect", "{task}", "-o", "json"),
    ("task-run", "inspect", "zzzz"),
    ("task-run", "logs", "{task}"),
    ("task-run", "cancel", "{task}"),
    ("variable", "ls"),
    ("variable", "get", "nothing"),
    ("variable", "get", "No Name"),
    ("block", "ls"),
    ("block", "inspect", "secret/nothing"),
    ("block", "type", "ls", "-o", "json"),
]


def test_a_server_is_read_with_the_same_words(run: Run, records: Records) -> None:
    ids = filled(records)
    for command in READING:
        arguments = [each.format(**ids) for each in command]
        near, far = run(False, *arguments), run(True, *arguments)
        for stream in ("stdout", "stderr"):
            assert _calm(getattr(far, stream)) == _calm(getattr(near, stream)), command
        assert far.exit_code == near.exit_code, command
        assert "Traceback" not in near.stderr + far.stderr


def _calm(text: str) -> str:
    """Without durations that run on: those of clocks in a drawing."""
    return re.sub(r"\d\d:\d\d:\d\d\.\d{3} \|", "HH:MM:SS.mmm |", text)


def test_a_server_is_changed_with_the_same_words(run: Run, records: Records) -> None:
    made: dict[bool, list[tuple[int, str, str]]] = {}
    for served in (False, True):
        ended, waiting = records.flow_run("Failed", name="ended"), records.flow_run("Scheduled", name="waiting")
        records.flow_run(flow_run_id=waiting.id, name="below")
        told = []
        for arguments, given in (
            (("variable", "set", "batch_size", '{"a": [1, "ü"]}', "--tag", "x"), ""),
            (("variable", "set", "batch_size", "1"), ""),
            (("variable", "get", "batch_size"), ""),
            (("variable", "unset", "batch_size"), ""),
            (("variable", "unset", "batch_size"), ""),
            (("block", "create", "secret", "token"), "open sesame\n"),
            (("block", "create", "secret", "token"), "open sesame\n"),
            (("block", "create", "json", "settings"), '{"a": 1}'),
            (("block", "inspect", "secret/token", "--show-secrets"), ""),
            (("block", "inspect", "secret/token"), ""),
            (("block", "reencrypt"), ""),
            (("block", "delete", "secret/token", "json/settings"), ""),
            (("flow-run", "cancel", "--name", "waiting"), ""),
            (("flow-run", "cancel", "ended", "waiting"), ""),
            (("flow-run", "delete", "ended", "below", "-o", "json"), ""),
            (("flow-run", "delete", "ended"), ""),
            (("flow-run", "delete", "waiting"), ""),
        ):
            done = run(served, *arguments, input=given)
            texts = [_without_ids(text, str(ended.id), str(waiting.id)) for text in (done.stdout, done.stderr)]
            told.append((done.exit_code, *texts))
        made[served] = told  # type: ignore[assignment]
        assert [code for code, *_ in told] == [0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0]
    assert made[True] == made[False]


def _without_ids(text: str, *ids: str) -> str:
    for id in ids:
        text = text.replace(id, "ID")
    return re.sub(r"(ID|Created|Updated): .*", r"\1:", text)


# --- in time ---------------------------------------------------------------------------------------------------------


def held(records: Records, **fields: object) -> Holder:
    with records.store.write() as tx:
        holders.put(tx, ELSEWHERE, datetime.now(UTC) + HOUR, False)
    return ELSEWHERE


def test_a_log_is_followed_while_it_grows(records: Records, both: ServerProcess) -> None:
    made = records.flow_run("Running", holder=held(records))
    records.lines(made, "first")
    following = penstock("flow-run", "logs", str(made.id), "--follow", env=at(both))
    assert following.stdout is not None
    assert following.stdout.readline().endswith("first\n")
    records.lines(made, "second", start=1)
    wrote = time.monotonic()
    assert following.stdout.readline().endswith("second\n")
    assert time.monotonic() - wrote < 2.0  # promised: 0.2
    records.flow_run("Running", "Completed", id=made.id)
    out, err = following.communicate(timeout=20)
    assert (out, err, following.returncode) == ("", "", 0)


def test_a_reader_that_leaves_ends_the_following(records: Records, both: ServerProcess) -> None:
    made = records.flow_run("Running", holder=held(records))
    records.lines(made, "first")
    following = penstock("flow-run", "logs", str(made.id), "--follow", env=at(both))
    assert following.stdout is not None
    following.stdout.readline()
    following.stdout.close()
    assert following.wait(timeout=20) == 1
    assert following.stderr is not None
    assert following.stderr.read() == ""
    following.stderr.close()


def test_a_run_is_watched_to_its_end(records: Records, both: ServerProcess) -> None:
    made = records.flow_run("Running", name="slow-goose", holder=held(records))
    watching = penstock("flow-run", "watch", "slow-goose", env=at(both))
    assert watching.stdout is not None
    assert "Running" in watching.stdout.readline()
    records.task_run(made, "Completed", task="load")
    assert "load-0" in watching.stdout.readline()
    records.flow_run("Running", "Failed", id=made.id, name="slow-goose")
    out, _ = watching.communicate(timeout=20)
    assert "Failed" in out
    assert watching.returncode == 1


def at(server: ServerProcess) -> dict[str, str]:
    return {"PENSTOCK_API_URL": server.url, "PENSTOCK_HOME": str(server.home / "mine"), "PYTHONPATH": str(SOURCE)}


WAITS = """
    import time
    from penstock import flow

    @flow(flow_run_name="waits")
    def waits():
        time.sleep(60)

    waits()
"""


def test_a_served_run_is_cancelled_and_its_end_awaited(
    records: Records, both: ServerProcess, programs: Programs, run: Run
) -> None:
    process = programs.start(WAITS, **at(both))
    until(lambda: "Running" in run(True, "flow-run", "ls", "--name", "waits").stdout)
    began = time.monotonic()
    done = run(True, "flow-run", "cancel", "waits", "--wait", "--timeout", "20")
    assert done.exit_code == 0, done.stderr
    assert re.search(r"is Cancelled: stopped after [\d.]+ s \(raised\)", done.stdout)
    assert time.monotonic() - began < 5.0  # promised: 0.2
    assert programs.finish(process).code != 0


DEAF = """
    import signal, sys, time
    from penstock import flow

    @flow(flow_run_name="deaf")
    def deaf():
        for number in (signal.SIGURG, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        print("deaf now", flush=True)
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass

    deaf()
"""


@pytest.mark.usefixtures("records")
def test_a_served_process_of_this_host_that_does_not_answer_is_ended(
    both: ServerProcess, programs: Programs, run: Run
) -> None:
    process = programs.start(DEAF, **at(both), PENSTOCK_STOP_WATCHDOG="false")
    assert process.stdout is not None
    assert process.stdout.readline() == "deaf now\n"
    os.kill(process.pid, signal.SIGSTOP)
    done = run(True, "flow-run", "cancel", "deaf", "--grace", "0.2", "--wait", "--timeout", "30")
    assert done.exit_code == 0, done.stdout + done.stderr
    assert re.search(r"is Cancelled: stopped after [\d.]+ s \(killed\)", done.stdout)
    assert programs.finish(process).code == -signal.SIGKILL


FAILS_ONCE = """
    import sys
    from pathlib import Path
    from penstock import flow, task

    @task(persist_result=True)
    def work():
        Path(sys.argv[1]).open("a").write("worked ")
        return 1

    @flow(flow_run_name="fails-once")
    def fails_once():
        work()
        if Path(sys.argv[1]).read_text().count("failed") == 0:
            Path(sys.argv[1]).open("a").write("failed ")
            raise ValueError("the first time")

    fails_once()
"""


@pytest.mark.usefixtures("records")
def test_a_served_run_is_retried_from_where_it_failed(both: ServerProcess, programs: Programs, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    programs.run(FAILS_ONCE, marks, **at(both))
    assert marks.read_text() == "worked failed "
    retried = penstock("flow-run", "retry", "fails-once", env=at(both))
    _, err = retried.communicate(timeout=60)
    assert retried.returncode == 0, err
    assert marks.read_text() == "worked failed ", "the task is not run again"
    listed = penstock("flow-run", "ls", "-o", "json", env=at(both))
    (found,) = json.loads(listed.communicate(timeout=20)[0])
    assert [state["name"] for state in found["states"]][-4:] == ["Failed", "AwaitingRetry", "Retrying", "Completed"]


# --- when it does not answer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [("flow-run", "ls"), ("variable", "set", "a", "1"), ("block", "ls"), ("flow-run", "cancel", "--all")]
)
def test_a_server_that_is_away_is_one_sentence(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, penstock_home: Path
) -> None:
    monkeypatch.setenv("PENSTOCK_API_URL", f"http://127.0.0.1:{free_port()}/api")
    refresh()
    done = CliRunner().invoke(root, command)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert re.fullmatch(r"Error: The server at \S+ does not answer \(.*\)\. Is it running .*\?\n", done.stderr)
    assert not (penstock_home / "penstock.db").exists()


def test_who_may_not_is_told_so(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path / "signed", PENSTOCK_API_AUTH_STRING="admin:secret") as server:
        monkeypatch.setenv("PENSTOCK_API_URL", server.url)
        refresh()
        done = CliRunner().invoke(root, ("flow-run", "ls"))
        assert done.exit_code == 1
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        monkeypatch.setenv("PENSTOCK_API_AUTH_STRING", "admin:secret")
        refresh()
        assert CliRunner().invoke(root, ("flow-run", "ls")).exit_code == 0


def test_a_server_is_asked_without_what_a_record_takes(both: ServerProcess, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom penstock.cli.main import main\n"
        "try: main()\nfinally: print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "flow-run", "ls"], capture_output=True, text=True, check=False,
        env={**os.environ, **at(both), "PENSTOCK_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = done.stderr.split("\n")
    heavy = ("apsw", "pydantic", "cryptography", "rich", "penstock.services", "penstock.store")
    assert [name for name in loaded if name.startswith(heavy)] == []
