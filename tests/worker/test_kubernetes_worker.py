"""Runs as jobs of a cluster, through a worker. The cluster is the tests' own (`infrastructure/cluster.py`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import connect
from penstock.flow_runs import cancel_flow_run
from penstock.settings import temporary_settings

from ..flows.kit import SOURCE, until
from ..infrastructure.cluster import Cluster
from ..served.kit import ServerProcess
from .kit import Workshop, is_there


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "cluster").mkdir()
    made = Cluster(tmp_path / "cluster")
    yield made
    made.close()


@pytest.fixture
def workshop(cluster: Cluster, server: ServerProcess, tmp_path: Path, penstock_home: Path) -> Iterator[Workshop]:
    variables = {
        "image": "any",
        "command": f"{sys.executable} -m penstock flow-run execute",
        "env": {"PYTHONPATH": str(SOURCE), "PENSTOCK_HOME": str(tmp_path / "pod")},
    }
    environment = {"PENSTOCK_API_URL": server.url, "KUBECONFIG": str(cluster.kubeconfig)}
    with temporary_settings({"PENSTOCK_API_URL": server.url}):
        made = Workshop(tmp_path, environment, "kubernetes", variables)
        yield made
        made.close()
        connect.disconnect()


def test_a_run_completes_as_a_job_which_is_gone_then(workshop: Workshop, cluster: Cluster) -> None:
    worker = workshop.start()
    run = workshop.run("quick")
    workshop.until_state(run, "Completed", seconds=60)
    launch = until(lambda: found if (found := workshop.launch(run)).ended else None, 30)
    assert launch.place is not None
    assert (launch.place.type, launch.place.scope, launch.exit_code) == ("kubernetes", cluster.uid, 0)
    until(lambda: not cluster.all("jobs"))
    assert "quick" in workshop.end(worker)


def test_a_polite_run_is_cancelled_and_a_stubborn_one_is_killed(workshop: Workshop, cluster: Cluster) -> None:
    workshop.start()
    run = workshop.run("waiting")
    workshop.until_begun()
    cancel_flow_run(run.id)
    workshop.until_state(run, "Cancelled", seconds=60)
    assert (workshop.folder / "cleaned").exists()
    (workshop.folder / "begun").unlink()
    run = workshop.run("stubborn")
    pid = workshop.until_begun()
    cancel_flow_run(run.id, grace=1)
    workshop.until_state(run, "Cancelled", seconds=60)
    until(lambda: not is_there(pid) and not cluster.all("pods"), 30)


def test_a_run_survives_its_worker_and_the_next_one_cancels_it(workshop: Workshop, cluster: Cluster) -> None:
    worker = workshop.start()
    run = workshop.run("waiting")
    pid = workshop.until_begun()
    worker.kill()
    worker.communicate()
    workshop.start()
    assert is_there(pid)
    cancel_flow_run(run.id)
    workshop.until_state(run, "Cancelled", seconds=60)
    until(lambda: not cluster.all("jobs"), 30)


def test_why_a_run_does_not_begin_is_on_its_launch_and_cancelling_ends_it(workshop: Workshop, cluster: Cluster) -> None:
    workshop.start()
    run = workshop.run("quick", job_variables={"image": "missing"})
    until(lambda: "Image 'missing' cannot be pulled" in (workshop.launch(run).problem or ""), 60)
    assert workshop.read(run).state_name == "Pending"
    cancel_flow_run(run.id)
    workshop.until_state(run, "Cancelled", seconds=60)
    until(lambda: not cluster.all("jobs"), 30)


def test_a_worker_of_another_cluster_leaves_a_run_to_one_of_its_own(
    workshop: Workshop, cluster: Cluster, tmp_path: Path
) -> None:
    first = workshop.start()
    run = workshop.run("stubborn")
    pid = workshop.until_begun()
    first.kill()
    first.communicate()
    cancel_flow_run(run.id, grace=1)
    (tmp_path / "other").mkdir()
    other = Cluster(tmp_path / "other")
    try:
        workshop._environment["KUBECONFIG"] = str(other.kubeconfig)
        stranger = workshop.start()
        quick = workshop.run("quick")
        workshop.until_state(quick, "Completed", seconds=60)  # it works, and has seen what is open
        assert is_there(pid)
        assert workshop.launch(run).ended is None
        workshop.end(stranger)
    finally:
        other.close()
    workshop._environment["KUBECONFIG"] = str(cluster.kubeconfig)
    workshop.start()
    workshop.until_state(run, "Cancelled", seconds=60)
    until(lambda: not is_there(pid) and workshop.launch(run).ended, 20)
