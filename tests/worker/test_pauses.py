"""Runs of deployments that wait: without a process, and with one that its worker loses meanwhile."""

from __future__ import annotations

import os
import signal

from penstock import resume_flow_run
from penstock.flow_runs import cancel_flow_run

from ..flows.kit import Record, names, until
from .kit import Workshop, is_there


def pids(workshop: Workshop) -> list[int]:
    return sorted(int(path.name.partition("-")[2]) for path in workshop.folder.glob("pid-*"))


def test_a_suspended_run_has_no_process_and_is_launched_once_more(workshop: Workshop, record: Record) -> None:
    workshop.start()
    run = workshop.run("asking")
    workshop.until_state(run, "Suspended")
    (first,) = pids(workshop)
    until(lambda: not is_there(first))
    until(lambda: workshop.is_over(run))
    assert workshop.read(run).state_name == "Suspended"
    resume_flow_run(run.id, "yes")
    found = workshop.until_state(run, "Completed")
    assert names(found) == [
        "Scheduled", "Pending", "Running", "Suspended", "Resuming", "Pending", "Running", "Completed",
    ]  # fmt: skip
    assert workshop.text("once") == "x"
    assert len(pids(workshop)) == 2
    assert "given yes" in record.messages(found)


def test_a_run_whose_process_was_killed_while_it_waited_is_launched_once_more(
    workshop: Workshop, record: Record
) -> None:
    workshop.start()
    run = workshop.run("asking", parameters={"suspends": False})
    workshop.until_state(run, "Paused")
    os.kill(pids(workshop)[0], signal.SIGKILL)
    workshop.until_state(run, "Suspended")
    until(lambda: workshop.is_over(run))
    resume_flow_run(run.id, "yes")
    found = workshop.until_state(run, "Completed")
    assert workshop.text("once") == "x"
    assert "given yes" in record.messages(found)


def test_a_run_that_waits_in_its_process_goes_on_there(workshop: Workshop) -> None:
    workshop.start()
    run = workshop.run("asking", parameters={"suspends": False})
    workshop.until_state(run, "Paused")
    resume_flow_run(run.id, "yes")
    workshop.until_state(run, "Completed")
    assert len(pids(workshop)) == 1


def test_a_run_that_waits_is_cancelled_at_once_with_its_process_or_without(workshop: Workshop) -> None:
    workshop.start()
    suspended, paused = workshop.run("asking"), workshop.run("asking", parameters={"suspends": False})
    workshop.until_state(suspended, "Suspended")
    workshop.until_state(paused, "Paused")
    until(lambda: workshop.is_over(suspended))
    assert cancel_flow_run(suspended.id).state_name == "Cancelled"
    cancel_flow_run(paused.id)
    workshop.until_state(paused, "Cancelled")
    until(lambda: not any(map(is_there, pids(workshop))))
