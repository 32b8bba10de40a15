"""Programs whose runs are traced: spans arrive at a collector, from every process that works for a run, however the
program ends; and where they cannot arrive, nobody waits for them."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from ..flows.kit import Programs, Record, until
from .kit import Collector, collecting

PROGRAM = """
    import sys, time
    from penstock import flow, task
    @task
    def step(x):
        return x
    @flow
    def main():
        return step(1)
    main()
"""

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOWHERE = {"PENSTOCK_TELEMETRY_TRACES": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def test_spans_of_a_program_arrive_before_it_has_ended(programs: Programs, collector: Collector) -> None:
    finished = programs.run(PROGRAM, **collector.environment)
    assert (finished.code, collector.paths) == (0, ["/v1/traces"]), finished.stderr
    found = collector.trace("flow main", "task step")
    assert found.one("flow main").names() == ["task step"]
    assert found.one("flow main").service == "penstock"
    assert "traces" not in finished.stderr


def test_opentelemetrys_own_variables_are_heeded(programs: Programs, collector: Collector) -> None:
    more = {"OTEL_SERVICE_NAME": "billing", "TRACEPARENT": TRACEPARENT}
    programs.run(PROGRAM, **collector.environment, **more)
    top = collector.trace("flow main").one("flow main")
    assert (top.service, top.trace, top.parent) == ("billing", *TRACEPARENT.split("-")[1:3])
    before = len(collector.spans)
    finished = programs.run(PROGRAM, **collector.environment, OTEL_TRACES_SAMPLER="always_off")
    assert (finished.code, len(collector.spans)) == (0, before)
    finished = programs.run(PROGRAM, **collector.environment, OTEL_TRACES_EXPORTER="nonsense")
    assert finished.code == 1
    assert "OTEL_TRACES_EXPORTER=nonsense is not known" in finished.stderr


def test_a_task_in_a_worker_process_is_in_the_trace_with_spans_of_its_code_and_the_tasks_it_calls(
    programs: Programs, collector: Collector
) -> None:
    program = """
        from opentelemetry import trace
        from penstock import flow, task
        from penstock.task_runners import ProcessPoolTaskRunner
        @task
        def below():
            pass
        @task
        def far(x):
            with trace.get_tracer("mine").start_as_current_span(f"inside {x}"):
                below()
        @task(isolation="process")
        def isolated():
            with trace.get_tracer("mine").start_as_current_span("isolated"):
                pass
        @flow(task_runner=ProcessPoolTaskRunner(2))
        def main():
            for future in far.map([1, 2]):
                future.result()
            isolated()
        main()
    """
    finished = programs.run(program, **collector.environment)
    assert finished.code == 0, finished.stderr
    found = collector.trace("flow main", "inside 1", "inside 2", "isolated", "task below")
    top = found.one("flow main")
    assert sorted(top.names()) == ["task far", "task far", "task isolated"]
    assert {span.trace for span in found.spans} == {top.trace}
    inside = [span for far in top.below for span in far.below]
    assert sorted(span.name for span in inside) == ["inside 1", "inside 2", "isolated"]
    assert [span.names() for span in inside if span.name != "isolated"] == [["task below"], ["task below"]]


DASK = """from distributed import LocalCluster
            with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
                main(DaskTaskRunner(cluster=cluster))"""
RAY = """main(RayTaskRunner(init_kwargs={"num_cpus": 1}))"""


@pytest.mark.parametrize("begins", [pytest.param(DASK, id="dask"), pytest.param(RAY, id="ray")])
def test_a_task_on_a_cluster_is_in_the_trace(programs: Programs, collector: Collector, begins: str) -> None:
    program = f"""
        from opentelemetry import trace
        from penstock import flow, task
        from penstock.task_runners import DaskTaskRunner, RayTaskRunner
        @task
        def below():
            pass
        @task
        def far():
            with trace.get_tracer("mine").start_as_current_span("inside"):
                below()
        def main(runner):
            @flow(name="main", task_runner=runner)
            def body():
                far.submit().result()
            body()
        if __name__ == "__main__":
            {begins}
    """
    finished = programs.run(program, **collector.environment)
    assert finished.code == 0, finished.stderr
    inside = collector.trace("flow main", "inside", "task below").one("flow main").child("task far").child("inside")
    assert inside.names() == ["task below"]


# --- ends ------------------------------------------------------------------------------------------------------------

SLEEPING = """
    import time
    from penstock import flow, task
    @task
    def nap():
        open({there!r}, "w").close()
        while True:
            try:
                time.sleep(60)
            except BaseException:
                if not {deaf}:
                    raise
    @flow
    def main():
        nap()
    main()
"""


@pytest.mark.parametrize(
    ("number", "deaf", "state", "reason"),
    [
        pytest.param(signal.SIGINT, False, "Cancelled", "interrupt", id="Ctrl-C"),
        pytest.param(signal.SIGTERM, False, "Crashed", "shutdown", id="SIGTERM"),
    ],
)
def test_spans_of_a_program_that_is_told_to_end_are_sent(
    programs: Programs, collector: Collector, tmp_path: Path, number: int, deaf: bool, state: str, reason: str
) -> None:
    there = tmp_path / "there"
    process = programs.start(SLEEPING.format(there=str(there), deaf=deaf), **collector.environment)
    until(there.exists)
    programs.tell(process, number)
    found = collector.trace("flow main", "task nap")
    top = found.one("flow main")
    assert (top["state.name"], top["stop.reason"]) == (state, reason)
    assert top.child("task nap")["stop.how"] == "raised"


def test_spans_are_sent_before_a_second_ctrl_c_ends_the_program(
    programs: Programs, collector: Collector, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    settings = {"PENSTOCK_STOP_GRACE_SECONDS": "60", **collector.environment}
    process = programs.start(SLEEPING.format(there=str(there), deaf=True), **settings)
    until(there.exists)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    programs.finish(process)
    assert collector.trace("flow main").one("flow main")["state.name"] == "Cancelled"


def test_a_child_of_multiprocessing_sends_its_own(programs: Programs, collector: Collector) -> None:
    program = """
        import multiprocessing
        from penstock import flow
        @flow
        def main(where):
            pass
        main("here")
        child = multiprocessing.get_context("fork").Process(target=main, args=("there",))
        child.start()
        child.join()
        assert child.exitcode == 0
    """
    finished = programs.run(program, **collector.environment)
    assert finished.code == 0, finished.stderr
    assert len(collector.trace("flow main").all("flow main")) == 2


def test_a_collector_that_is_not_there_is_said_once_and_costs_next_to_nothing(
    programs: Programs, record: Record
) -> None:
    program = """
        import logging, time
        logging.basicConfig()
        from penstock import flow, task
        @task
        def step():
            pass
        @flow
        def main():
            began = time.perf_counter()
            for _ in range(1500):
                step()
            time.sleep(3)
            print("took", time.perf_counter() - began - 3)
        main()
        print("over", time.time(), flush=True)
    """
    finished = programs.run(program, **NOWHERE)
    over = time.time() - float(finished.stdout.split("over ")[1])
    assert finished.code == 0, finished.stderr
    assert finished.stderr.count("traces cannot be sent") == 1
    assert "http://127.0.0.1:9/v1/traces ([Errno 111] Connection refused)" in finished.stderr
    assert "opentelemetry" not in finished.stderr
    assert over < 2.5
    assert record.flow_run().state.is_completed()


def test_a_collector_that_does_not_answer_keeps_a_program_for_two_seconds(programs: Programs, record: Record) -> None:
    with collecting(stuck=True) as collector:
        began = time.monotonic()
        finished = programs.run(PROGRAM, **collector.environment)
        took = time.monotonic() - began
    assert finished.code == 0
    assert took < 8  # the exporter itself would try for 10
    assert "has not answered in 2 s" in finished.stderr
    assert record.flow_run().state.is_completed()


# --- what it needs ---------------------------------------------------------------------------------------------------


def test_without_the_packages_the_error_names_the_extra_and_no_run_begins(programs: Programs, record: Record) -> None:
    finished = programs.run(f"import sys\nsys.modules['opentelemetry'] = None\n{_flat(PROGRAM)}", **NOWHERE)
    assert finished.code == 1
    assert "ConfigurationError" in finished.stderr
    assert "pip install 'penstock[otel]'" in finished.stderr
    assert record.flow_runs() == []


def test_without_the_packages_nothing_is_missed_while_it_is_off(programs: Programs) -> None:
    finished = programs.run(f"import sys\nsys.modules['opentelemetry'] = None\n{_flat(PROGRAM)}")
    assert finished.code == 0, finished.stderr


def test_while_it_is_off_nothing_of_opentelemetry_is_loaded(programs: Programs) -> None:
    check = "print([name for name in sys.modules if 'opentelemetry' in name or 'penstock.telemetry' in name])"
    assert programs.run(f"{_flat(PROGRAM)}\n{check}").stdout == "[]\n"


def test_a_provider_of_the_programs_own_is_kept(programs: Programs, collector: Collector) -> None:
    program = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from penstock import flow
        memory, mine = InMemorySpanExporter(), TracerProvider()
        mine.add_span_processor(SimpleSpanProcessor(memory))
        trace.set_tracer_provider(mine)
        @flow
        def main():
            pass
        main()
        assert trace.get_tracer_provider() is mine
        print([span.name for span in memory.get_finished_spans()])
    """
    assert programs.run(program, **collector.environment).stdout == "['flow main']\n"
    assert collector.spans == []


def _flat(program: str) -> str:
    import textwrap

    return textwrap.dedent(program)


def test_a_processor_that_raises_is_said_once_and_is_not_the_runs_affair(programs: Programs, record: Record) -> None:
    program = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from penstock import flow, task
        class Broken(SpanProcessor):
            def on_start(self, *args, **kwargs):
                raise RuntimeError("broken at the start")
            def on_end(self, span):
                raise RuntimeError("broken at the end")
        mine = TracerProvider()
        mine.add_span_processor(Broken())
        trace.set_tracer_provider(mine)
        @task(retries=1)
        def step():
            pass
        @flow
        def main():
            step()
            step()
        main()
    """
    finished = programs.run(program, PENSTOCK_TELEMETRY_TRACES="true")
    assert finished.code == 0, finished.stderr
    assert finished.stderr.count("runs cannot be traced") == 1
    assert record.flow_run().state.is_completed()
