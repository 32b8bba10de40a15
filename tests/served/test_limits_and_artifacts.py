"""Limits, rates, artifacts and events of served programs: the same as embedded, over HTTP, and across restarts."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from penstock.protocol import artifacts, events
from penstock.protocol import concurrency_limits as limits
from penstock.protocol.operation import Operation
from penstock.transport import Transport

from ..flows.kit import Programs, until
from .kit import ServerProcess


def ask(server: ServerProcess, operation: Operation[Any, Any], argument: Any) -> Any:
    way = Transport(server.url)
    try:
        return way.call(operation, argument)
    finally:
        way.close()


def read(server: ServerProcess, name: str) -> limits.LimitRead:
    found: limits.LimitRead = ask(server, limits.READ_LIMIT, limits.ByIdOrName(name))
    return found


def limit(server: ServerProcess, name: str, slots: int, **fields: Any) -> None:
    ask(server, limits.CREATE_LIMIT, limits.CreateLimit(name=name, limit=slots, **fields))


HOLDS = """
    import sys, time
    from penstock import flow
    from penstock.concurrency import concurrency

    def hold():
        with concurrency("db"):
            print("holding", flush=True)
            time.sleep(float(sys.argv[1]))

    flow(hold)() if sys.argv[2] == "run" else hold()
    print("done", flush=True)
"""


def test_processes_of_one_server_are_never_two_inside(
    server: ServerProcess, programs: Programs, tmp_path: Path
) -> None:
    limit(server, "tag:db", 1)
    log = tmp_path / "log"
    program = """
        import os, sys
        from penstock import flow, task

        file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

        @task(tags=["db"])
        def query():
            os.write(file, b"in\\n")
            os.write(file, b"out\\n")

        @flow
        def queries():
            for each in [query.submit() for _ in range(8)]:
                each.result()

        queries()
    """
    racing = [programs.start(program, log, PENSTOCK_API_URL=server.url) for _ in range(2)]
    for each in racing:
        ended = programs.finish(each)
        assert ended.code == 0, ended.stderr
    assert log.read_text().split() == ["in", "out"] * 16
    until(lambda: not read(server, "tag:db").holding)


def test_a_killed_process_gives_its_slot_to_who_waits(server: ServerProcess, programs: Programs) -> None:
    limit(server, "db", 1)
    holder = programs.start(HOLDS, 60, "run", PENSTOCK_API_URL=server.url, PENSTOCK_STOP_WATCHDOG="false")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    waiter = programs.start(HOLDS, 0, "alone", PENSTOCK_API_URL=server.url)
    until(lambda: read(server, "db").waiting)
    os.killpg(holder.pid, signal.SIGKILL)
    holder.wait()
    assert programs.finish(waiter).stdout == "holding\ndone\n"
    until(lambda: not read(server, "db").holding)


def test_who_holds_and_who_waits_outlive_a_restart_of_the_server(server: ServerProcess, programs: Programs) -> None:
    limit(server, "db", 1)
    holder = programs.start(HOLDS, 3, "run", PENSTOCK_API_URL=server.url)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    waiter = programs.start(HOLDS, 0, "run", PENSTOCK_API_URL=server.url)
    until(lambda: read(server, "db").waiting)
    server.kill()
    server.start()
    assert len(read(server, "db").holding) == len(read(server, "db").waiting) == 1
    assert programs.finish(holder).code == 0
    ended = programs.finish(waiter)
    assert ended.stdout == "holding\ndone\n", ended.stderr
    until(lambda: not read(server, "db").holding)


def test_who_gives_a_time_limit_does_not_wait_longer_for_a_server_that_is_away(
    server: ServerProcess, programs: Programs, tmp_path: Path
) -> None:
    limit(server, "db", 1)
    os.mkfifo(tmp_path / "go")
    program = """
        import sys
        from penstock import flow
        from penstock.concurrency import concurrency
        from penstock.exceptions import AcquireConcurrencySlotTimeoutError
        from penstock.flows import concurrency as module

        module.ANSWER_SECONDS = 0.2

        @flow
        def impatient():
            print("begun", flush=True)
            open(sys.argv[1]).read()
            try:
                with concurrency("db", timeout_seconds=0.1):
                    print("inside")
            except AcquireConcurrencySlotTimeoutError as error:
                print(error, flush=True)

        impatient()
    """
    process = programs.start(program, tmp_path / "go", PENSTOCK_API_URL=server.url)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    server.kill()
    (tmp_path / "go").write_text("")
    assert process.stdout.readline().startswith("The record of the limits does not answer; timeout_seconds=0.1")
    server.start()
    assert programs.finish(process).code == 0
    until(lambda: not read(server, "db").holding and not read(server, "db").waiting)


def test_rates_artifacts_and_events_of_served_runs(server: ServerProcess, programs: Programs) -> None:
    limit(server, "api", 1, slot_decay_per_second=20.0)
    ended = programs.run(
        """
        import time
        from penstock import flow
        from penstock.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
        from penstock.concurrency import rate_limit
        from penstock.events import emit_event

        @flow
        def report():
            began = time.monotonic()
            for _ in range(5):
                rate_limit("api")
            print(time.monotonic() - began)
            create_markdown_artifact("# x", key="report")
            update_progress_artifact(create_progress_artifact(1), 2)
            emit_event("reported", {"penstock.resource.id": "r"}, payload={"n": 1})

        report()
        """,
        PENSTOCK_API_URL=server.url,
    )
    assert ended.code == 0, ended.stderr
    assert float(ended.stdout) >= 4 / 20
    made = ask(server, artifacts.FILTER_ARTIFACTS, artifacts.FilterArtifacts()).items
    assert [each.data for each in made] == [2.0, "# x"]
    assert made[0].flow_run_id is not None
    (event,) = ask(server, events.FILTER_EVENTS, events.FilterEvents()).items
    assert (event.event, event.payload, event.flow_run_id) == ("reported", {"n": 1}, made[0].flow_run_id)


def test_a_limit_whose_name_has_a_slash_is_changed_by_the_command_line(
    server: ServerProcess, programs: Programs
) -> None:
    program = """
        import sys
        from penstock.cli.main import root
        root.main(sys.argv[1:])
    """
    for arguments in (("create", "s3://x", "--limit", "1"), ("update", "s3://x", "--limit", "2"), ("delete", "s3://x")):
        ended = programs.run(program, "gcl", *arguments, PENSTOCK_API_URL=server.url)
        assert ended.code == 0, ended.stderr
