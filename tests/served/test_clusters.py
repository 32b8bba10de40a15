"""Tasks on clusters, of programs that report to a server: the same record as on one machine."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from penstock.client import SyncPenstockClient, get_client
from penstock.domain.runs import TaskRun
from penstock.settings import temporary_settings

from ..flows.kit import Programs, names, until
from .kit import ServerProcess
from .test_limits_and_artifacts import limit

PROGRAM = """
    import os, sys, time
    from pathlib import Path
    from penstock import flow, get_run_logger, task
    from penstock.task_runners import DaskTaskRunner, RayTaskRunner

    folder = Path(sys.argv[2])

    @task(log_prints=True, tags=["scarce"])
    def work(number):
        began = time.time()
        print("worked", number, "in", os.getpid())
        get_run_logger().warning("logged %s", number)
        time.sleep(0.2)
        (folder / f"span-{number}").write_text(f"{began} {time.time()}")
        return b"x" * 100_000

    @task
    def total(parts):
        return sum(map(len, parts))

    @task(retries=1)
    def fails_once():
        if not (folder / "failed").exists():
            (folder / "failed").touch()
            raise ValueError("the first time")

    @task(persist_result=True, cache_key_fn=lambda context, parameters: "one")
    def cached():
        return os.getpid()

    @task(timeout_seconds=0.5)
    def slow():
        time.sleep(60)

    @task(log_prints=True)
    def gentle():
        (folder / f"gentle-{os.getpid()}").touch()
        try:
            time.sleep(1000)
        finally:
            print("cleaned up")

    @task
    def stubborn():
        (folder / f"stubborn-{os.getpid()}").touch()
        while True:
            try:
                time.sleep(1000)
            except BaseException:
                pass

    def main(runner):
        @flow(task_runner=runner)
        def works():
            assert total.submit(work.map(range(4))).result() == 400_000
            fails_once.submit().result()
            assert cached.submit().result() == cached.submit().result() != os.getpid()
            assert slow.submit().wait() is None

        @flow(task_runner=runner)
        def sleeps():
            for future in [gentle.submit(), stubborn.submit()]:
                future.wait()

        works()
        sleeps(return_state=True)

    if __name__ == "__main__":
        if sys.argv[1] == "ray":
            import ray

            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
            main(RayTaskRunner())
        else:
            from distributed import LocalCluster

            with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
                main(DaskTaskRunner(cluster=cluster))
"""


def runs(client: SyncPenstockClient, name: str) -> list[TaskRun]:
    """The task runs of a task, the oldest first."""
    return sorted((run for run in client.read_task_runs() if run.task_name == name), key=lambda run: run.id)


def messages(client: SyncPenstockClient, run: TaskRun) -> list[str]:
    return [line.message for line in client.read_logs(task_run_id=run.id)]


@pytest.mark.parametrize("kind", ["dask", "ray"])
@pytest.mark.timeout(180)
def test_tasks_on_a_cluster_are_recorded_by_a_server_and_stopped_through_it(
    server: ServerProcess, programs: Programs, tmp_path: Path, kind: str
) -> None:
    limit(server, "tag:scarce", 1)
    marks = tmp_path / "marks"
    marks.mkdir()
    settings = {
        "PENSTOCK_API_URL": server.url, "PENSTOCK_HOME": str(tmp_path / "client"), "PENSTOCK_STOP_GRACE_SECONDS": "1",
    }  # fmt: skip
    process = programs.start(programs.write(PROGRAM), kind, marks, **settings)
    until(lambda: len([*marks.glob("gentle-*"), *marks.glob("stubborn-*")]) == 2 or process.poll() is not None, 60)
    assert process.poll() is None, process.communicate()[1][-3000:]
    with temporary_settings({"PENSTOCK_API_URL": server.url}), get_client(sync_client=True) as client:
        check_works(client, tmp_path / "marks")
        (run,) = [each for each in client.read_flow_runs() if each.flow_name == "sleeps"]
        client.cancel_flow_run(run.id)
        done = programs.finish(process, 60)
        assert done.code == 0, done.stderr[-3000:]
        check_sleeps(client)
    pids = [int(path.name.split("-")[1]) for path in [*marks.glob("gentle-*"), *marks.glob("stubborn-*")]]
    assert len(pids) == 2
    until(lambda: not any(map(psutil.pid_exists, pids)))


def check_works(client: SyncPenstockClient, marks: Path) -> None:
    """Values, retries, caches, limits and time limits hold, and lines are those of their runs."""
    work = runs(client, "work")
    assert [run.state_name for run in work] == ["Completed"] * 4
    assert [run.state_name for run in runs(client, "total")] == ["Completed"]
    assert names(runs(client, "fails_once")[0]) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]
    assert [run.state_name for run in runs(client, "cached")] == ["Completed", "Cached"]
    assert [run.state_name for run in runs(client, "slow")] == ["TimedOut"]
    spans = sorted(tuple(map(float, path.read_text().split())) for path in marks.glob("span-*"))
    assert len(spans) == 4
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    for number, run in enumerate(work):
        worked, logged = [line for line in messages(client, run) if line.startswith(("worked", "logged"))]
        assert worked.startswith(f"worked {number} in ")
        assert logged == f"logged {number}"


def check_sleeps(client: SyncPenstockClient) -> None:
    """A stop reaches the code, and ends what does not listen; the record says which."""
    (gentle,), (stubborn,) = runs(client, "gentle"), runs(client, "stubborn")
    assert (gentle.state_name, gentle.state.details["stopped"]) == ("Cancelled", "raised")
    assert "cleaned up" in messages(client, gentle)
    assert (stubborn.state_name, stubborn.state.details["stopped"]) == ("Cancelled", "killed")
