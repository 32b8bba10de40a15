"""What is a cluster's own: values that stay there, nodes that are lost, clusters that are not there, and who may dial.

(What tasks on a cluster have in common with those in processes of this machine is in `test_process_runner.py`.)
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from penstock import flow, task
from penstock.domain.errors import (
    ConfigurationError,
    CrashedRun,
    DefinitionError,
    InfrastructureNotAvailable,
    MissingContextError,
    MissingResult,
    RunTimeoutError,
    SerializationError,
)
from penstock.flows.runners.cluster import hosted, leases, orders, runner
from penstock.flows.runners.cluster.home import Home
from penstock.flows.runners.cluster.host import host
from penstock.flows.runners.cluster.runner import OnCluster
from penstock.task_runners import (
    DaskTaskRunner,
    RayTaskRunner,
    get_async_dask_client,
    get_dask_client,
    remote_options,
)

from .kit import Programs, Record, until

LARGE = 200_000


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    import ray

    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield ray
    ray.shutdown()


def client_of(cluster: Any) -> Any:
    from distributed import Client

    return Client(cluster, set_as_default=False)


@pytest.fixture(params=["dask", "ray"])
def on_cluster(request: pytest.FixtureRequest) -> Any:
    """A task runner of each kind."""
    cluster = request.getfixturevalue(request.param)
    return DaskTaskRunner(cluster=cluster) if request.param == "dask" else RayTaskRunner()


@task
def large(size: int = LARGE) -> bytes:
    return b"x" * size


@task
def length(data: bytes) -> int:
    return len(data)


# --- values -----------------------------------------------------------------------------------------------------------


def test_a_large_value_stays_on_the_cluster_and_goes_to_tasks_there(on_cluster: Any, monkeypatch: Any) -> None:
    fetched = []
    load = OnCluster.load
    monkeypatch.setattr(OnCluster, "load", lambda self: fetched.append(self.size) or load(self))

    @flow(task_runner=on_cluster)
    def crunch() -> int:
        data = large.submit()
        value = length.submit(data).result() + sum(length.map([data, data]).result())
        assert isinstance(data.state.data, OnCluster)
        assert fetched == []
        assert len(data.result()) == LARGE
        assert len(fetched) == 1
        return value

    assert crunch() == 3 * LARGE


def test_a_small_value_comes_at_once(on_cluster: Any) -> None:
    @flow(task_runner=on_cluster)
    def crunch() -> Any:
        return large.submit(10).state, large.submit(10).result()

    _, value = crunch()

    assert value == b"x" * 10


def test_values_within_lists_stay_too_and_others_go_with_them(on_cluster: Any) -> None:
    @task
    def lengths(parts: list[bytes], named: dict[str, bytes]) -> list[int]:
        return [len(part) for part in (*parts, *named.values())]

    @flow(task_runner=on_cluster)
    def crunch() -> list[int]:
        data = large.submit()
        return lengths.submit([data, b"abc"], {"again": data}).result()

    assert crunch() == [LARGE, 3, LARGE]


def test_a_value_that_somebody_holds_outlives_the_flow_run(on_cluster: Any) -> None:
    held = []

    @flow(task_runner=on_cluster)
    def crunch() -> None:
        held.append(large.submit())
        held[0].wait()

    crunch()

    assert len(held[0].result()) == LARGE


def test_one_that_is_too_large_for_that_says_so(on_cluster: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(runner, "MOST_FETCHED", 1000)
    held = []

    @flow(task_runner=on_cluster)
    def crunch() -> None:
        held.append(large.submit())
        held[0].wait()

    crunch()

    with pytest.raises(MissingResult, match="stayed on the cluster"):
        held[0].result()


def test_a_task_of_the_flows_process_is_given_the_value_itself(on_cluster: Any) -> None:
    @flow(task_runner=on_cluster)
    def crunch() -> int:
        return length(large.submit())

    assert crunch() == LARGE


def test_a_cached_value_that_is_large_is_kept_and_found(on_cluster: Any, record: Record) -> None:
    runs = []

    @task(persist_result=True, cache_key_fn=lambda context, parameters: "one")
    def cached() -> bytes:
        return b"x" * LARGE

    @flow(task_runner=on_cluster)
    def crunch() -> None:
        runs.extend(cached.submit().wait() or cached.submit().result() for _ in range(2))

    crunch()

    assert [len(each) for each in runs] == [LARGE, LARGE]
    assert [run.state.name for run in record.task_runs()].count("Completed") == 1


def test_a_print_of_the_flow_is_said_to_be_its_own_beside_ray(ray: Any, record: Record) -> None:
    """Ray puts another function in the place of `print`."""

    @flow(log_prints=True)
    def crunch() -> None:
        print("here")

    crunch()

    (line,) = [line for line in record.lines() if line.message == "here"]
    assert (line.file, line.function) == (__file__, "crunch")


# --- losses -----------------------------------------------------------------------------------------------------------


def test_a_task_whose_node_is_lost_is_crashed_and_tried_again(on_cluster: Any, tmp_path: Path, record: Record) -> None:
    @task(retries=1)
    def waits() -> str:
        if (tmp_path / "seen").exists():
            return "second"
        (tmp_path / "seen").write_text(str(os.getppid()))
        time.sleep(60)
        return "never"

    @flow(task_runner=on_cluster)
    def crunch() -> str:
        future = waits.submit()
        node = int(until(lambda: (tmp_path / "seen").exists() and (tmp_path / "seen").read_text()))
        os.kill(node, signal.SIGKILL)
        return future.result()

    assert crunch() == "second"
    (run,) = record.task_runs()
    assert run.run_count == 2
    assert any("was lost with its node" in line.message for line in record.lines())


def test_a_worker_process_that_dies_leaves_its_node_alone(on_cluster: Any) -> None:
    @task
    def dies() -> None:
        os._exit(3)

    @task
    def node() -> int:
        return os.getppid()

    @flow(task_runner=on_cluster)
    def crunch() -> Any:
        before = set(node.map(range(0)).result()) | {node.submit().result()}
        state = dies.submit(return_state=True)
        return state, before

    state, _ = crunch()

    assert state.is_crashed()
    with pytest.raises(CrashedRun, match="ended with exit code 3"):
        state.result()


def test_a_cluster_that_is_not_there_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]

    @flow(task_runner=DaskTaskRunner(address=f"tcp://127.0.0.1:{port}", client_kwargs={"timeout": 1}))
    def crunch() -> None:
        large.submit().result()

    with pytest.raises(InfrastructureNotAvailable, match="is not there"):
        crunch()


def test_tasks_that_wait_for_a_place_are_cancelled_without_one(dask: Any, record: Record) -> None:
    """More than the cluster has places for: those that wait never begin."""

    @task(timeout_seconds=1)
    def sleeps() -> None:
        time.sleep(30)

    @flow(timeout_seconds=2, task_runner=DaskTaskRunner(cluster=dask))
    def crunch() -> None:
        sleeps.map(range(0))
        for future in [sleeps.submit() for _ in range(6)]:
            future.wait()

    began = time.monotonic()
    state = crunch(return_state=True)

    assert state.name == "TimedOut"
    assert time.monotonic() - began < 15
    until(lambda: all(run.state.is_final() for run in record.task_runs()))


def test_a_cluster_that_has_to_be_made_does_not_count_as_the_tasks_time(record: Record) -> None:
    @task(timeout_seconds=0.3)
    def quick() -> int:
        return 1

    @flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 1, "threads_per_worker": 1}))
    def crunch() -> int:
        return quick.submit().result()

    assert crunch() == 1


# --- bad input --------------------------------------------------------------------------------------------------------


def test_one_of_several_ways_to_a_cluster_is_taken() -> None:
    with pytest.raises(DefinitionError, match="one of them"):
        DaskTaskRunner(address="tcp://x:1", cluster_class="distributed.LocalCluster")


def test_a_cluster_class_that_is_not_found_is_named() -> None:
    @flow(task_runner=DaskTaskRunner(cluster_class="nosuch.Cluster"))
    def crunch() -> None:
        large.submit().result()

    with pytest.raises((DefinitionError, InfrastructureNotAvailable), match=r"nosuch\.Cluster"):
        crunch()


@pytest.mark.parametrize(("kind", "package"), [("DaskTaskRunner", "distributed"), ("RayTaskRunner", "ray")])
def test_a_package_that_is_missing_is_named(programs: Programs, kind: str, package: str) -> None:
    ended = programs.run(f"""
        import sys
        sys.modules[{package!r}] = None
        from penstock import flow, task
        from penstock.task_runners import {kind}

        @task
        def one(): return 1

        @flow(task_runner={kind}())
        def main():
            one.submit().result()

        main()
    """)

    assert f"{kind} needs the package {package}" in ended.stderr
    assert ConfigurationError.__name__ in ended.stderr


def test_a_node_of_another_version_says_so(dask: Any, monkeypatch: Any) -> None:
    """(Here it is the flow's process that says it has another.)"""
    encode = leases.parcels.encode

    def older(message: Any) -> bytes:
        if isinstance(message, orders.Lease):
            message = msgspec.structs.replace(message, python="3.9")
        return encode(message)

    monkeypatch.setattr(leases.parcels, "encode", older)

    @flow(task_runner=DaskTaskRunner(cluster=dask))
    def crunch() -> None:
        large.submit().result()

    with pytest.raises(InfrastructureNotAvailable, match=r"on Python 3\.9. They must be the same"):
        crunch()


def test_a_cluster_without_workers_is_said_in_the_log(
    dask: Any, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    monkeypatch.setattr(leases, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(hosted, "LOOK_SECONDS", 0.1)

    def warnings() -> list[str]:
        return [line.message for line in record.lines() if "no place on the cluster was free" in line.message]

    @task
    def none() -> None: ...

    @flow(task_runner=DaskTaskRunner(cluster=dask))
    def crunch() -> None:
        import dask as package

        with package.annotate(resources={"press": 1}):
            none.submit()
        until(warnings)

    with pytest.raises(RunTimeoutError):
        crunch.with_options(timeout_seconds=2)()
    assert "For 1 s no place" in warnings()[0] or "For 0 s no place" in warnings()[0]


def test_a_value_that_cannot_be_read_here_is_said_and_its_node_goes_on(on_cluster: Any) -> None:
    class Odd:
        def __init__(self, size: int) -> None:
            self.data = b"x" * size

        def __reduce__(self) -> Any:
            return not_here, (os.getpid(), self.data)

    here = os.getpid()

    def not_here(pid: int, data: bytes) -> None:
        if os.getpid() == here:
            raise ValueError("not here")

    @task
    def odd(size: int) -> Any:
        return Odd(size)

    @task
    def node() -> int:
        return os.getppid()

    @flow(task_runner=on_cluster)
    def crunch() -> None:
        small, big = odd.submit(10), odd.submit(LARGE)
        with pytest.raises(SerializationError, match=r"cannot be unpickled here .*not here"):
            small.result()
        with pytest.raises(MissingResult, match="cannot be unpickled here: ValueError: not here"):
            big.result()
        assert node.submit().result() > 0

    crunch()


# --- what users of the clusters know ----------------------------------------------------------------------------------


def test_an_address_and_options_of_the_client_are_taken(dask: Any) -> None:
    options = {"name": "of-the-flow", "timeout": 5}

    @flow(task_runner=DaskTaskRunner(address=dask.scheduler_address, client_kwargs=options))
    def crunch() -> bool:
        assert length.submit(b"abc").result() == 3
        return any("of-the-flow" in name for name in dask.scheduler.clients)

    assert crunch()


def test_a_cluster_is_made_of_a_class_with_its_options_grows_and_is_gone_after_the_flow_run() -> None:
    from distributed import LocalCluster

    made = []

    class Growing(LocalCluster):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(self)

    options = {"n_workers": 0, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    runner = DaskTaskRunner(cluster_class=Growing, cluster_kwargs=options, adapt_kwargs={"minimum": 0, "maximum": 2})

    @flow(task_runner=runner)
    def crunch() -> tuple[int, int]:
        lengths = length.map([b"a", b"bc"]).result()
        return sum(lengths), len(made[0].workers)

    total, workers = crunch()

    assert total == 3
    assert 1 <= workers <= 2
    assert made[0].status.name == "closed"


def test_what_dask_annotate_says_holds_for_the_tasks_that_are_submitted_in_it(dask: Any) -> None:
    import dask as package

    @task
    def node(number: int) -> int:
        return os.getppid()

    address, worker = next(iter(dask.scheduler.workers.items()))
    with client_of(dask) as client:
        (pid,) = client.run(os.getpid, workers=[address]).values()

    @flow(task_runner=DaskTaskRunner(cluster=dask))
    def crunch() -> set[int]:
        node.map(range(8)).result()
        with package.annotate(workers=[address]):
            return set(node.map(range(8)).result())

    assert worker.address == address
    assert crunch() == {pid}


def test_tasks_and_flows_have_dasks_client(dask: Any) -> None:
    """Though each worker has one thread, and all of them have such a task."""

    def square(x: int) -> int:
        return x * x

    @task
    def squares() -> int:
        with get_dask_client(timeout=10) as client:
            return sum(client.gather(client.map(square, range(4))))

    @task
    async def soon() -> int:
        async with get_async_dask_client() as client:
            return await client.submit(square, 5)  # type: ignore[no-any-return]

    @flow(task_runner=DaskTaskRunner(cluster=dask))
    def crunch() -> list[int]:
        with get_dask_client() as client:
            here = client.submit(square, 7).result()
        futures = [*(squares.submit() for _ in range(4)), soon.submit()]
        return [here, *(future.result() for future in futures), squares()]

    assert crunch() == [49, 14, 14, 14, 14, 25, 14]


def test_dasks_client_where_there_is_no_dask_is_refused() -> None:
    with pytest.raises(MissingContextError, match="no run here"), get_dask_client():
        pass

    @flow
    def crunch() -> None:
        with get_dask_client():
            pass

    with pytest.raises(DefinitionError, match="give flow 'crunch' a DaskTaskRunner"):
        crunch()


def test_remote_options_are_for_the_tasks_that_are_submitted_in_them(ray: Any) -> None:
    @task
    def devices() -> str:
        return os.environ.get("CUDA_VISIBLE_DEVICES", "")

    @task
    def at_work() -> tuple[float, float]:
        began = time.monotonic()
        time.sleep(0.3)
        return began, time.monotonic()

    @flow(task_runner=RayTaskRunner())
    def crunch() -> tuple[list[str], list[tuple[float, float]]]:
        found = [devices.submit().result()]
        with remote_options(num_gpus=1):
            found.append(devices.submit().result())
            with remote_options(num_cpus=2):
                found.append(devices.submit().result())
        found.append(devices.submit().result())
        with remote_options(num_cpus=2):
            return found, [future.result() for future in [at_work.submit() for _ in range(3)]]

    found, spans = crunch()

    assert found == ["", "0", "0", ""]
    spans.sort()
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_options_of_ray_that_are_not_the_callers_are_refused() -> None:
    with pytest.raises(DefinitionError, match="max_retries: retries"), remote_options(max_retries=3):
        pass


def test_a_ray_is_begun_with_its_options_and_is_gone_after_the_flow_run(programs: Programs) -> None:
    ended = programs.run("""
        import ray
        from penstock import flow, task
        from penstock.task_runners import RayTaskRunner, remote_options

        @task
        def one(): return 1

        @flow(task_runner=RayTaskRunner(init_kwargs={"num_cpus": 1, "resources": {"press": 1}}))
        def main():
            with remote_options(resources={"press": 1}):
                print("found", one.submit().result(), ray.cluster_resources()["press"])

        main()
        print("is there", ray.is_initialized())
    """)

    assert ended.code == 0, ended.stderr
    assert "found 1 1.0" in ended.stdout
    assert "is there False" in ended.stdout


# --- who may dial -----------------------------------------------------------------------------------------------------


class Door:
    """A flow's process that waits for the host with one lease."""

    def __init__(self, number: int = 1) -> None:
        self.home = Home("127.0.0.1", self._known)
        self.number = number
        self.came: list[Any] = []

    def _known(self, number: int, near: bool) -> Any:
        return self.came.append if number == self.number and not self.came else None

    def dial(self, token: bytes, number: int) -> bytes:
        with socket.create_connection(self.home.address, timeout=5) as line:
            line.sendall(orders.HELLO.pack(orders.MAGIC, token, number, True))
            return line.recv(1)

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self.home.close()
        for line in self.came:
            line.close()


def test_who_does_not_know_the_token_is_not_heard() -> None:
    with Door() as door:
        token = door.home.token
        assert door.dial(b"0" * 32, 1) == b""
        assert door.dial(token, 2) == orders.UNKNOWN
        with socket.create_connection(door.home.address, timeout=5) as line:
            line.sendall(b"GET / HTTP/1.1\r\n" + b"x" * (orders.HELLO.size - 16))
            assert line.recv(1) == b""
        assert door.came == []
        assert door.dial(token, 1) == orders.WELCOME
        until(lambda: door.came)
        assert door.dial(token, 1) == orders.UNKNOWN  # once


def test_a_host_that_comes_too_late_does_nothing() -> None:
    """As when the scheduler begins a lease anew whose node was lost."""
    with Door() as door:
        lease = orders.Lease(door.home.address, door.home.token, 99, orders.Machine("", ""))
        assert host(msgspec.msgpack.encode(lease)) == b""


# --- leases -----------------------------------------------------------------------------------------------------------


class Scheduler:
    """A cluster on which hosts come when the test says so."""

    peer = "127.0.0.1"

    def __init__(self) -> None:
        self.leases: list[orders.Lease] = []
        self.over: list[Any] = []
        self.cancelled: list[int] = []

    def submit(self, name: str, lease: bytes, values: Any, wishes: Any, over: Any) -> Any:
        number = len(self.leases)
        self.leases.append(orders.decode(lease))
        self.over.append(over)
        scheduler = self

        class Submitted:
            value = f"the value of {number}"

            def cancel(self) -> None:
                scheduler.cancelled.append(number)

        return Submitted()

    def come(self, number: int) -> socket.socket | None:
        lease = self.leases[number]
        line = socket.create_connection(lease.home, timeout=5)
        line.sendall(orders.HELLO.pack(orders.MAGIC, lease.token, lease.number, True))
        if line.recv(1) == orders.WELCOME:
            return line
        line.close()
        return None

    inside = None
    lost = False

    def wishes(self) -> dict[str, Any]:
        return {}

    def watch(self, lost: Any) -> None: ...

    def fetch(self, handle: Any) -> bytes:
        raise NotImplementedError

    def close(self) -> None: ...


class Call:
    """One that waits for a host."""

    def __init__(self, wanted: bool = True) -> None:
        self.line: Any = None
        self.trouble: orders.Trouble | None = None
        self.wanted = wanted
        self.was_cut: orders.Trouble | None = None

    def attach(self, line: Any) -> bool:
        self.line = line
        return self.wanted

    def failed(self, trouble: orders.Trouble) -> None:
        self.trouble = trouble

    def cut(self, trouble: orders.Trouble) -> None:
        self.was_cut = trouble


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler()


@pytest.fixture
def leased(scheduler: Scheduler) -> Iterator[leases.Leases]:
    made = leases.Leases(scheduler)
    yield made
    made.close()


def test_a_host_that_has_done_a_call_does_the_one_that_waits_longest(
    scheduler: Scheduler, leased: leases.Leases
) -> None:
    calls = [Call() for _ in range(4)]
    for call in calls:
        leased.want(call, "x", (), {})
    assert len(scheduler.leases) == 4

    with scheduler.come(3) as _:  # type: ignore[union-attr]
        line = until(lambda: calls[0].line)
        leased.give_back(line)
        leased.give_back(line)

        assert [call.line for call in calls] == [line, line, line, None]


def test_a_host_is_kept_no_longer_than_its_lease(
    scheduler: Scheduler, leased: leases.Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.0)
    first, second = Call(), Call()
    for call in (first, second):
        leased.want(call, "x", (), {})

    with scheduler.come(0) as host_of_first:  # type: ignore[union-attr]
        leased.give_back(until(lambda: first.line))

        assert host_of_first.recv(1) == b""  # it may go
    assert second.line is None
    with scheduler.come(1) as _:  # type: ignore[union-attr]
        until(lambda: second.line)


def test_a_host_without_a_call_goes_after_a_moment(scheduler: Scheduler, leased: leases.Leases) -> None:
    first, second = Call(), Call()
    leased.want(first, "x", (), {})
    with scheduler.come(0) as line:  # type: ignore[union-attr]
        leased.give_back(until(lambda: first.line))
        leased.want(second, "x", (), {})
        assert second.line is first.line
        leased.give_back(second.line)

        assert line.recv(1) == b""
    assert len(scheduler.leases) == 1


def test_a_host_that_was_lost_while_it_had_no_call_is_given_none(scheduler: Scheduler, leased: leases.Leases) -> None:
    first, second = Call(), Call()
    leased.want(first, "x", (), {})
    line = scheduler.come(0)
    leased.give_back(until(lambda: first.line))
    assert line is not None
    line.close()
    leased.want(second, "x", (), {})

    assert second.line is None
    assert len(scheduler.leases) == 2


def test_no_host_is_kept_from_calls_whose_data_is_elsewhere(scheduler: Scheduler, leased: leases.Leases) -> None:
    first, second, bound = Call(), Call(), Call()
    for call in (first, second):
        leased.want(call, "x", (), {})
    with scheduler.come(0) as line:  # type: ignore[union-attr]
        until(lambda: first.line)
        leased.want(bound, "x", ("handle",), {})
        leased.give_back(first.line)

        assert line.recv(1) == b""
    assert second.line is None
    with scheduler.come(2) as _:  # type: ignore[union-attr]
        until(lambda: bound.line)
        assert bound.line.value == "the value of 2"


def test_leases_that_nobody_needs_are_cancelled(scheduler: Scheduler, leased: leases.Leases) -> None:
    calls = [Call() for _ in range(10)]
    for call in calls:
        leased.want(call, "x", (), {})
    for call in calls:
        leased.forget(call)

    assert len(scheduler.cancelled) >= 8
    assert scheduler.come(scheduler.cancelled[0]) is None


def test_what_the_scheduler_cannot_do_is_said_to_one_call_each(scheduler: Scheduler, leased: leases.Leases) -> None:
    first, bound, second = Call(), Call(), Call()
    leased.want(first, "x", (), {})
    leased.want(bound, "x", ("handle",), {})
    leased.want(second, "x", (), {})
    scheduler.over[2](orders.Trouble("no such module", False))
    scheduler.over[1](orders.Trouble("the value is lost", False))
    scheduler.over[1](orders.Trouble("again", False))

    texts = [call.trouble and call.trouble.text for call in (first, bound, second)]
    assert texts == ["no such module", "the value is lost", None]


def test_a_cluster_that_is_lost_is_said_to_all_calls(scheduler: Scheduler, leased: leases.Leases) -> None:
    first, bound, second = Call(), Call(), Call()
    leased.want(first, "x", (), {})
    with scheduler.come(0) as _:  # type: ignore[union-attr]
        until(lambda: first.line)
        leased.want(bound, "x", (), {"num_gpus": 1})
        leased.want(second, "x", (), {})
        gone = orders.Trouble("it is gone", True)
        leased.lose(gone)

        assert (first.trouble, first.was_cut) == (None, gone)
        assert (bound.trouble, second.trouble) == (gone, gone)
        assert scheduler.come(1) is None


def test_a_call_that_was_stopped_as_its_host_came_leaves_it_to_the_next(
    scheduler: Scheduler, leased: leases.Leases
) -> None:
    stopped, second = Call(wanted=False), Call()
    leased.want(stopped, "x", (), {})
    leased.want(second, "x", (), {})

    with scheduler.come(0) as _:  # type: ignore[union-attr]
        until(lambda: second.line)


def test_many_small_tasks_need_few_leases(on_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    ask = leases.Leases._ask
    monkeypatch.setattr(leases.Leases, "_ask", lambda self, *given: asked.append(1) or ask(self, *given))

    @task
    def number(n: int) -> int:
        return n

    @flow(task_runner=on_cluster)
    def crunch() -> list[int]:
        return [number.submit(n).result() for n in range(30)]

    assert crunch() == list(range(30))
    assert len(asked) < 10


def test_many_items_in_chunks_and_streams_have_their_values_and_flat_memory(on_cluster: Any, record: Record) -> None:
    size = 2_000

    @task
    def number(n: int) -> int:
        return n

    @task
    def sizeable(n: int) -> bytes:
        return bytes([n % 256]) * 70_000  # it stays there

    @flow(task_runner=on_cluster)
    def crunch() -> None:
        assert number.map(range(size), chunk_size=100).result() == list(range(size))
        for items in (size // 4, size):
            before = psutil.Process().memory_info().rss
            with number.stream(range(items), chunk_size=50) as futures:
                assert sorted(future.result() for future in futures) == list(range(items))
            with sizeable.stream(range(items // 10), buffersize=20, ordered=True) as futures:
                assert all(future.result()[0] == n % 256 for n, future in enumerate(futures))
        # (what Ray's client has of its store in memory is the store's, and of its size)
        grown = psutil.Process().memory_info().rss - before
        assert grown < (30 << 20) + (items // 10 * 70_000 if isinstance(on_cluster, RayTaskRunner) else 0)

    crunch()

    states = Counter(run.state_name for run in record.task_runs())
    assert states == {"Completed": size + size // 4 * 11 // 10 + size * 11 // 10}
