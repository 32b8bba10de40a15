"""What tasks on a cluster cost: `python -m benchmarks.clusters [--size N] [--repeat N] [--markdown FILE]`.

For each of Dask and Ray a local cluster with two places; the same function, called by the cluster's own client and as a
task of a flow, in turns, in one process. The record is counted afterwards: every task run there, and completed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

PROGRAM = """
import json, sys, time
from penstock import flow, task
from penstock.client import get_client
from penstock.task_runners import DaskTaskRunner, RayTaskRunner

KIND, SIZE, REPEAT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def plain(x):
    return x

@task
def number(x):
    return x

def timed(fn):
    began = time.perf_counter()
    fn()
    return time.perf_counter() - began

def main():
    if KIND == "dask":
        from distributed import Client, LocalCluster

        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        client = Client(cluster, set_as_default=False)
        runner = DaskTaskRunner(cluster=cluster)
        mapped = lambda n: client.gather(client.map(plain, range(n), pure=False))
        single = lambda n: [client.submit(plain, i, pure=False).result() for i in range(n)]
    else:
        import ray

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
        runner = RayTaskRunner()
        remote = ray.remote(plain)
        mapped = lambda n: ray.get([remote.remote(i) for i in range(n)])
        single = lambda n: [ray.get(remote.remote(i)) for i in range(n)]

    @flow(task_runner=runner)
    def measured():
        number.map(range(50)).result()
        mapped(50)
        few = max(SIZE // 10, 10)
        for _ in range(REPEAT):
            found["bare mapped"].append(timed(lambda: mapped(SIZE)) / SIZE)
            found["ours mapped"].append(timed(lambda: number.map(range(SIZE)).result()) / SIZE)
            found["bare single"].append(timed(lambda: single(few)) / few)
            found["ours single"].append(
                timed(lambda: [number.submit(i).result() for i in range(few)]) / few
            )
        return 50 + REPEAT * (SIZE + few)

    found = {f"{who} {how}": [] for who in ("bare", "ours") for how in ("mapped", "single")}
    count = measured()
    with get_client(sync_client=True) as penstock:
        (run,) = penstock.read_flow_runs()
        states = penstock.count_task_runs_of_flow_run(run.id)
    assert list(states.values()) == [count] and "completed" in str(*states).lower(), (states, count)
    json.dump(found, sys.stdout)

if __name__ == "__main__":
    main()
"""
WORDS = {"mapped": "mapped", "single": "submitted, one after the other"}
BUDGET = 1e-3


def measure(kind: str, size: int, repeat: int) -> dict[str, float]:
    """Medians in seconds for one task, by who and how."""
    with tempfile.TemporaryDirectory() as home:
        script = Path(home, "clusters.py")
        script.write_text(PROGRAM)
        settings = {"PENSTOCK_HOME": home, "PENSTOCK_LOGGING_TO_CONSOLE": "false"}
        done = subprocess.run(
            [sys.executable, str(script), kind, str(size), str(repeat)], env={**os.environ, **settings},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, cwd=home,
        )  # fmt: skip
    return {name: statistics.median(times) for name, times in json.loads(done.stdout.splitlines()[-1]).items()}


def page(found: dict[str, dict[str, float]], size: int, repeat: int) -> str:
    lines = [
        "# What tasks on a cluster cost",
        "",
        "Written by `python -m benchmarks.clusters --markdown docs/clusters-measured.md`: the same function that gives "
        "back its argument, called by the cluster's own client, and as a task of a flow, whose runs are all recorded. "
        f"Local clusters with two places, which share the machine with the flow; {size:,} calls mapped, a tenth of "
        f"them one after the other; medians of {repeat}.",
        "",
        f"{date.today()}; {os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}, distributed "
        f"{importlib.metadata.version('distributed')}, ray {importlib.metadata.version('ray')}",
        "",
        "| tasks | the cluster's own | Penstock on it | added | budget |",
        "|---|---:|---:|---:|---:|",
    ]
    for kind, times in found.items():
        for how, words in WORDS.items():
            bare, ours = times[f"bare {how}"], times[f"ours {how}"]
            met = "met" if ours - bare <= BUDGET else "NOT MET"
            lines.append(
                f"| {kind.capitalize()}, {words} | {bare * 1e3:.2f} ms | {ours * 1e3:.2f} ms | "
                f"{(ours - bare) * 1e3:+.2f} ms | {BUDGET * 1e3:.0f} ms, {met} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10_000, help="how many calls are mapped (default 10,000)")
    parser.add_argument("--repeat", type=int, default=3, help="how often (default 3)")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the page there too")
    options = parser.parse_args()
    found = {kind: measure(kind, options.size, options.repeat) for kind in ("dask", "ray")}
    text = page(found, options.size, options.repeat)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)


if __name__ == "__main__":
    main()
