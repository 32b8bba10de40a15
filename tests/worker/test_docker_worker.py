"""Runs in containers, through a worker: as the six edge cases of stopping have it, on a real engine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock import connect
from penstock.domain.runs import FlowRun
from penstock.flow_runs import cancel_flow_run
from penstock.protocol.work_pools import UPDATE_POOL, UpdatePool
from penstock.settings import temporary_settings

from ..containers import IMAGE, Engine, client
from ..flows.kit import SOURCE, until
from ..served.kit import ServerProcess
from .kit import Workshop

HUNGRY = """
@flow
def hungry(folder: str):
    held = [b"x" * (1 << 20) for _ in range(400)]
"""


class Containers(Workshop):
    """A workshop whose runs are containers."""

    api: Any

    def of(self, run: FlowRun) -> list[Any]:
        """The containers of a run that are there."""
        found: list[Any] = self.api.containers.list(
            all=True, filters={"label": f"penstock.flow-run-id={run.id}"}, ignore_removed=True
        )
        return found

    def until_begun(self) -> int:
        return int(until(lambda: self.text("begun"), 60.0))


@pytest.fixture
def workshop(engine: Engine, server: ServerProcess, tmp_path: Path, penstock_home: Path) -> Iterator[Containers]:
    variables = {
        "image": IMAGE,
        "network_mode": engine.network_mode,
        "volumes": [*engine.volumes, f"{tmp_path}:{tmp_path}"],
        "command": f"{sys.executable} -m penstock flow-run execute",
        "env": {"PYTHONPATH": str(SOURCE), "PENSTOCK_HOME": "/tmp/penstock"},
        "mem_limit": "300m",
        "memswap_limit": "300m",
    }
    with temporary_settings({"PENSTOCK_API_URL": server.url}), contextlib.closing(client(engine.address)) as api:
        made = Containers(tmp_path, {"PENSTOCK_API_URL": server.url}, "docker", variables)
        (tmp_path / "code" / "hungry.py").write_text(f"from penstock import flow\n{HUNGRY}")
        made.api = api
        yield made
        for worker in made._workers:
            worker.kill()
        for each in api.containers.list(all=True, ignore_removed=True):
            with contextlib.suppress(Exception):
                each.remove(force=True)
        (tmp_path / "begun").unlink(missing_ok=True)  # its pid is a container's own
        (tmp_path / "child").unlink(missing_ok=True)
        made.close()
        connect.disconnect()


def test_a_run_completes_in_a_container_of_its_own_which_is_gone_then(workshop: Containers) -> None:
    worker = workshop.start()
    run = workshop.run("quick")
    workshop.until_state(run, "Completed", seconds=60)
    launch = until(lambda: found if (found := workshop.launch(run)).ended else None, 30)
    assert launch.place is not None
    assert (launch.place.type, launch.exit_code) == ("docker", 0)
    until(lambda: not workshop.of(run))
    assert "quick" in workshop.end(worker)


def test_a_polite_run_is_cancelled_with_its_finally_blocks(workshop: Containers) -> None:
    workshop.start()
    run = workshop.run("waiting")
    workshop.until_begun()
    cancel_flow_run(run.id)
    found = workshop.until_state(run, "Cancelled", seconds=60)
    assert (found.state.details or {})["confirmed"] is True
    assert (workshop.folder / "cleaned").exists()
    until(lambda: not workshop.of(run), 30)


def test_a_stubborn_run_is_killed_when_its_grace_is_over(workshop: Containers) -> None:
    workshop.start()
    run = workshop.run("stubborn")
    workshop.until_begun()
    cancel_flow_run(run.id, grace=1)
    found = workshop.until_state(run, "Cancelled", seconds=60)
    until(lambda: not workshop.of(run), 60)
    assert (found.state.details or {})["reason"] == "cancel"


def test_what_a_run_started_is_gone_with_its_container(workshop: Containers) -> None:
    workshop.start()
    run = workshop.run("forking")
    workshop.until_begun()
    cancel_flow_run(run.id, grace=5)
    workshop.until_state(run, "Cancelled", seconds=60)
    until(lambda: not workshop.of(run), 60)


def test_a_run_survives_its_worker_and_is_cancelled_though_its_pool_was_changed(workshop: Containers) -> None:
    """By what the run itself was launched with."""
    worker = workshop.start()
    run = workshop.run("waiting")
    workshop.until_begun()
    worker.kill()
    worker.communicate()
    (container,) = workshop.of(run)
    template = {"job_configuration": {"image": "another"}, "variables": {"properties": {}}}
    connect.call(UPDATE_POOL, UpdatePool(name="local", base_job_template=template))
    cancel_flow_run(run.id)
    workshop.start()
    workshop.until_state(run, "Cancelled", seconds=60)
    until(
        lambda: container.id not in {each.id for each in workshop.api.containers.list(all=True, ignore_removed=True)},
        60,
    )


def test_a_container_that_somebody_removed_crashes_its_run(workshop: Containers) -> None:
    workshop.start()
    run = workshop.run("waiting")
    workshop.until_begun()
    workshop.of(run)[0].remove(force=True)
    workshop.until_state(run, "Crashed", seconds=90)


def test_memory_that_ran_out_is_on_the_run(workshop: Containers) -> None:
    workshop.start()
    run = workshop.run("hungry", entrypoint="hungry.py:hungry")
    found = workshop.until_state(run, "Crashed", seconds=90)
    until(lambda: "out of memory" in (workshop.read(run).state.message or ""), 30)
    assert found.state.is_crashed()


def test_an_image_that_is_not_there_is_on_the_run(workshop: Containers) -> None:
    workshop.start()
    run = workshop.run("quick", job_variables={"image": "no-such-image:1", "image_pull_policy": "Never"})
    found = workshop.until_state(run, "Crashed", seconds=60)
    assert "Image 'no-such-image:1' is not there" in (found.state.message or "")


def test_without_a_server_a_worker_of_containers_says_what_it_needs(workshop: Containers) -> None:
    del workshop._environment["PENSTOCK_API_URL"]
    worker = workshop.start("--type", "docker")
    said = worker.communicate(timeout=30)[0]
    assert worker.returncode == 1
    assert "set PENSTOCK_API_URL" in said
