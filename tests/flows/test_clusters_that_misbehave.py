"""What goes wrong with a cluster: it is not there, it goes away, it comes back, it has other versions, it is too small.
Every run has an end, which says what happened; nothing hangs, and what the record calls over is not running."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from penstock import flow, task
from penstock.domain.errors import InfrastructureNotAvailable, MissingResult
from penstock.task_runners import DaskTaskRunner, RayTaskRunner

from .clusters import DaskPrograms, RayHead, dask_programs, free_port
from .kit import SOURCE, Programs, Record, taking_less_than, until

LARGE = 200_000


@pytest.fixture
def cluster() -> Iterator[DaskPrograms]:
    with dask_programs() as made:
        yield made


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pids(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir()]


@task
def where() -> int:
    return os.getpid()


@task
def marks(folder: str, seconds: float) -> str:
    Path(folder, str(os.getpid())).touch()
    time.sleep(seconds)
    return "done"


@task
def large() -> bytes:
    return b"x" * LARGE


@task
def length(data: bytes) -> int:
    return len(data)


# --- it is not there --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "runner",
    [
        pytest.param(lambda at: DaskTaskRunner(address=f"tcp://{at}", client_kwargs={"timeout": 1}), id="dask"),
        pytest.param(lambda at: RayTaskRunner(address=at), id="ray"),
        pytest.param(lambda at: RayTaskRunner(address=f"ray://{at}"), id="ray-client"),
    ],
)
def test_a_cluster_that_is_not_there_fails_the_flow_at_once_and_all_its_tasks_together(
    runner: Any, record: Record
) -> None:
    address = f"127.0.0.1:{free_port()}"

    @flow(task_runner=runner(address))
    def crunch() -> None:
        futures = [where.submit() for _ in range(600)]
        for future in futures:
            future.wait()
        futures[0].result()

    with taking_less_than(10):
        state = crunch(return_state=True)

    assert state.name == "Failed"
    with pytest.raises(InfrastructureNotAvailable, match=rf"{address}.* is not there: [^\n]*$"):
        state.result()
    assert {run.state_name for run in record.task_runs()} == {"Failed"}
    assert len(record.task_runs()) == 600


def test_a_task_that_is_tried_again_asks_for_the_cluster_again(cluster: DaskPrograms, tmp_path: Path) -> None:
    """One that comes up meanwhile is found."""
    cluster.kill(cluster.scheduler)

    def has_failed(task: Any, run: Any, state: Any) -> bool:
        cluster.start_scheduler()
        cluster.start_worker()
        return True

    @task(retries=1, retry_condition_fn=has_failed)
    def patient() -> str:
        return "there"

    @flow(task_runner=DaskTaskRunner(address=cluster.address, client_kwargs={"timeout": 1}))
    def crunch() -> str:
        return patient.submit().result()

    assert crunch() == "there"


# --- it goes away, and comes back -------------------------------------------------------------------------------------


def test_when_the_scheduler_dies_what_runs_goes_on_and_what_waits_is_crashed(
    cluster: DaskPrograms, tmp_path: Path, record: Record
) -> None:
    first, second = cluster.start_worker(), cluster.start_worker()
    folder = str(tmp_path / "marks")
    Path(folder).mkdir()

    ends: list[Any] = []

    @flow(task_runner=DaskTaskRunner(address=cluster.address, client_kwargs={"timeout": 2}))
    def crunch() -> None:
        short = marks.submit(folder, 4)
        until(lambda: len(pids(Path(folder))) == 1, 30)
        endless = marks.submit(folder, 1000)
        until(lambda: len(pids(Path(folder))) == 2, 30)
        waiting = where.submit()
        cluster.kill(cluster.scheduler)
        waiting.wait()
        short.wait()
        cluster.kill(first, second)
        endless.wait()
        with taking_less_than(10):
            where.submit().wait()
        ends.extend(future.state for future in (short, endless, waiting))

    with taking_less_than(60):
        crunch()

    short, endless, waiting = ends
    assert short.name == "Completed"
    assert endless.name == waiting.name == "Crashed"
    assert "lost its scheduler" in endless.message
    assert "could not be run on the cluster: Dask has lost its scheduler" in waiting.message
    (later,) = [run for run in record.task_runs("where") if run.state_name == "Failed"]
    assert "is not there" in later.state.message
    until(lambda: all(map(gone, pids(Path(folder)))))


def test_a_scheduler_that_is_restarted_has_later_tasks_and_no_old_values(cluster: DaskPrograms) -> None:
    """Whether the client still looks for it, or has given up."""
    cluster.start_worker()

    @task(retries=1)
    def again() -> str:
        return "on the new one"

    @flow(task_runner=DaskTaskRunner(address=cluster.address, client_kwargs={"timeout": 2}))
    def crunch(patiently: bool) -> tuple[str, Any]:
        value = large.submit()
        value.wait()
        cluster.kill(cluster.scheduler, *cluster.workers)
        if patiently:
            waiting = again.submit()
        else:
            time.sleep(3)  # it has given up
        cluster.start_scheduler()
        cluster.start_worker()
        return (waiting if patiently else again.submit()).result(), value

    for patiently in (True, False):
        text, value = crunch(patiently)
        assert text == "on the new one"
        with pytest.raises(MissingResult, match=r"200,0.. bytes was lost on the cluster"):
            value.result()


BEREAVED = """
    import sys
    from pathlib import Path
    from penstock import flow, task
    from penstock.task_runners import DaskTaskRunner

    @task
    def endless(folder):
        import os, time

        Path(folder, str(os.getpid())).touch()
        while True:
            try:
                time.sleep(1000)
            except BaseException:
                pass

    @flow(task_runner=DaskTaskRunner(address=sys.argv[1]))
    def main():
        endless.submit(sys.argv[2]).wait()

    main()
"""


def test_code_on_a_node_does_not_outlive_a_flow_that_was_killed(
    cluster: DaskPrograms, programs: Programs, tmp_path: Path
) -> None:
    cluster.start_worker()
    folder = tmp_path / "marks"
    folder.mkdir()
    process = programs.start(BEREAVED, cluster.address, folder)
    until(lambda: pids(folder), 30)
    process.kill()
    process.communicate()
    until(lambda: all(map(gone, pids(folder))))


# --- it has other versions --------------------------------------------------------------------------------------------


def test_a_node_with_another_penstock_is_refused_and_both_are_named(tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(SOURCE / "penstock", other / "penstock", ignore=shutil.ignore_patterns("__pycache__"))
    door = other / "penstock" / "__init__.py"
    lines = door.read_text().splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("__version__")]
    lines[place] = '__version__ = "0.0.1"'
    door.write_text("\n".join(lines))

    with dask_programs(other) as cluster:
        cluster.start_worker()

        @flow(task_runner=DaskTaskRunner(address=cluster.address))
        def crunch() -> None:
            where.submit().result()

        with pytest.raises(InfrastructureNotAvailable, match=r"has Penstock 0\.0\.1 on Python .* process Penstock \d"):
            crunch()


def test_a_cluster_without_penstock_says_so(tmp_path: Path) -> None:
    (tmp_path / "penstock.py").write_text("""raise ModuleNotFoundError("No module named 'penstock'")""")
    with dask_programs(tmp_path) as cluster:
        cluster.start_worker()

        @flow(task_runner=DaskTaskRunner(address=cluster.address))
        def crunch() -> None:
            where.submit().result()

        with pytest.raises(InfrastructureNotAvailable, match=r"No module named 'penstock'. .* must have Penstock \d"):
            crunch()


# --- it is too small --------------------------------------------------------------------------------------------------


def test_a_task_that_is_larger_than_its_worker_of_dask_is_crashed_and_others_go_on(
    cluster: DaskPrograms, tmp_path: Path, record: Record
) -> None:
    cluster.start_worker("--memory-limit", "600MB", "--nthreads", "2")
    mark = tmp_path / "mark"

    @task(retries=1)
    def grows() -> str:
        if mark.exists():
            return "small"
        mark.touch()
        data = [bytearray(os.urandom(1 << 20) * 8) for _ in range(100)]
        time.sleep(60)
        return f"large: {len(data)}"

    @flow(task_runner=DaskTaskRunner(address=cluster.address))
    def crunch() -> tuple[Any, Any]:
        beside = marks.submit(str(tmp_path), 5)
        return grows.submit().result(), beside.result()

    assert crunch() == ("small", "done")
    run = record.task_run("grows")
    assert run.run_count == 2
    (line,) = [each for each in record.lines() if "was killed for its memory" in each.message]
    assert "of 570 MB" in line.message
    assert record.task_run("marks").run_count == 1


# --- Ray --------------------------------------------------------------------------------------------------------------

ROOM = 3 << 30


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    """One that ends what takes more memory than is taken now, and some."""
    memory = psutil.virtual_memory()
    most = (memory.total - memory.available + ROOM) / memory.total
    settings = {"RAY_memory_usage_threshold": f"{most:.4f}", "RAY_memory_monitor_refresh_ms": "100"}
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # (Ray's own paths within it are long)
        made = RayHead(Path(folder), **settings)
        yield made
        made.close()


@pytest.mark.parametrize("client", [False, True], ids=["address", "ray-client"])
def test_a_ray_that_is_there_is_reached_by_its_address(head: RayHead, client: bool) -> None:
    address = f"ray://127.0.0.1:{head.client_port}" if client else head.address

    @flow(task_runner=RayTaskRunner(address=address))
    def crunch() -> tuple[int, int]:
        data = large.submit()
        return where.submit().result(), length.submit(data).result()

    pid, size = crunch()

    assert pid != os.getpid()
    assert size == LARGE


def test_a_ray_of_another_version_is_refused_and_both_are_named(head: RayHead, monkeypatch: pytest.MonkeyPatch) -> None:
    """(Here it is the flow's process that says it has another.)"""
    import ray._private.utils as utils

    monkeypatch.setattr(utils, "compute_version_info", lambda: ("1.0.0", "deadbeef", "3.9.1"))

    @flow(task_runner=RayTaskRunner(address=head.address))
    def crunch() -> None:
        where.submit().result()

    with pytest.raises(InfrastructureNotAvailable, match=r"has other versions: Version mismatch.*1\.0\.0"):
        crunch()


def test_a_task_that_is_larger_than_rays_node_is_crashed_and_tried_again(
    head: RayHead, tmp_path: Path, record: Record
) -> None:
    if psutil.virtual_memory().available < 3 * ROOM:
        pytest.skip("there is too little memory to take it")
    mark = tmp_path / "mark"

    @task(retries=2, retry_delay_seconds=2)  # the memory is to be free again
    def grows() -> str:
        if mark.exists():
            return "small"
        mark.touch()
        data = []
        for _ in range(2 * ROOM >> 28):
            data.append(bytearray(os.urandom(1 << 20) * (1 << 8)))
            time.sleep(0.05)
        time.sleep(30)
        return f"large: {len(data)}"

    @flow(task_runner=RayTaskRunner(address=head.address))
    def crunch() -> str:
        return grows.submit().result()

    assert crunch() == "small"
    assert record.task_run().run_count >= 2
    first = next(line.message for line in record.lines() if "CrashedRun" in line.message)
    assert re.search(r"was lost with its node \(.*killed due to the node running low on memory", first)


HEADLESS = """
    import os, sys, time
    from pathlib import Path
    from penstock import flow, task
    from penstock.flows.runners.cluster import pulse
    from penstock.task_runners import RayTaskRunner

    pulse.ASK_SECONDS, pulse.AWAY_SECONDS = 0.5, 3.0
    folder = Path(sys.argv[2])

    @task
    def endless():
        (folder / str(os.getpid())).touch()
        time.sleep(1000)

    @task
    def later():
        pass

    @flow(task_runner=RayTaskRunner(address=sys.argv[1]))
    def main():
        futures = [endless.submit() for _ in range(3)]
        for future in futures:
            future.wait()
        later.submit().wait()

    main()
"""


def test_when_rays_head_dies_every_run_has_an_end_and_the_program_goes_on(
    head: RayHead, programs: Programs, tmp_path: Path, record: Record
) -> None:
    """(Ray itself would end the program.)"""
    folder = tmp_path / "marks"
    folder.mkdir()
    process = programs.start(HEADLESS, head.address, folder)
    until(lambda: len(pids(folder)) == 2, 40)
    head.kill("gcs_server")
    done = programs.finish(process, 60)

    assert done.code == 0, done.stderr
    states = [run.state for run in record.task_runs("endless")]
    assert [state.name for state in states] == ["Crashed"] * 3
    messages = sorted(state.message for state in states)
    assert ["was given up with its cluster" in text for text in messages].count(True) == 2
    assert all(re.search(rf"head at .*:{head.port} has not answered for 3 s", text) for text in messages)
    assert "is not there" in record.task_run("later").state.message
    assert record.flow_run().state_name == "Completed"
    until(lambda: all(map(gone, pids(folder))))
