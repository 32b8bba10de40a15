"""The same function, called by a cluster's own client and as a task of a flow: `on_a_cluster.py KIND N TIMES`.

KIND is `dask` or `ray`; the cluster has two places, each a process. Prints the version of the cluster's package, and
seconds for one call, by who and how, as JSON. The record is counted: every task run there, and completed.
"""

import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from penstock import flow, task
from penstock.client import get_client
from penstock.task_runners import DaskTaskRunner, RayTaskRunner

KIND, SIZE, TIMES = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
FEW = max(SIZE // 10, 10)
FIRST = 50  # not on the clock
Calls = Callable[[int], Any]


def plain(x: int) -> int:
    return x


@task
def number(x: int) -> int:
    return x


def dask() -> tuple[Any, Calls, Calls]:
    """Our runner, and the client's own ways to map and to call one after the other."""
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    client = Client(cluster, set_as_default=False)
    return (
        DaskTaskRunner(cluster=cluster),
        lambda n: client.gather(client.map(plain, range(n), pure=False)),
        lambda n: [client.submit(plain, i, pure=False).result() for i in range(n)],
    )


def ray() -> tuple[Any, Calls, Calls]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    remote = ray.remote(plain)
    return (
        RayTaskRunner(),
        lambda n: ray.get([remote.remote(i) for i in range(n)]),
        lambda n: [ray.get(remote.remote(i)) for i in range(n)],
    )


def ours_mapped(n: int) -> Any:
    return number.map(range(n)).result()


def ours_single(n: int) -> Any:
    return [number.submit(i).result() for i in range(n)]


def each(calls: Calls, n: int) -> float:
    began = time.perf_counter()
    calls(n)
    return (time.perf_counter() - began) / n


def main() -> dict[str, list[float]]:
    runner, mapped, single = {"dask": dask, "ray": ray}[KIND]()
    found: dict[str, list[float]] = {f"{who} {how}": [] for who in ("bare", "ours") for how in ("mapped", "single")}

    @flow(task_runner=runner)
    def measured() -> None:
        for first in (mapped, single, ours_mapped, ours_single):
            first(FIRST)
        for _ in range(TIMES):
            found["bare mapped"].append(each(mapped, SIZE))
            found["ours mapped"].append(each(ours_mapped, SIZE))
            found["bare single"].append(each(single, FEW))
            found["ours single"].append(each(ours_single, FEW))

    measured()
    with get_client(sync_client=True) as penstock:
        (run,) = penstock.read_flow_runs()
        states = penstock.count_task_runs_of_flow_run(run.id)
    count = 2 * FIRST + TIMES * (SIZE + FEW)
    if list(states.values()) != [count] or "completed" not in str(*states).lower():
        sys.exit(f"{states} recorded, where {count} completed are expected")
    return found


if __name__ == "__main__":
    version = importlib.metadata.version({"dask": "distributed", "ray": "ray"}[KIND])
    json.dump({"version": version, "found": main()}, sys.stdout)
