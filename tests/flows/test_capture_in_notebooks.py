"""Cells of a notebook, executed by a real kernel: the log has what they print, and the cell shows it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from .kit import PATIENCE, SOURCE, Record

SETUP = """
import asyncio, os, subprocess, sys, time
from penstock import flow, task
streams = sys.stdout, sys.stderr
"""


class Notebook:
    """A kernel. `run` executes a cell, and keeps what is shown below it."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self._manager = manager
        self._client = client
        self.shown = ""
        self.result: str | None = None
        self.error: str | None = None

    def run(self, cell: str, interrupt_at: str | None = None, error: str | None = None) -> str:
        """Shows what the cell wrote. `interrupt_at`: text at which somebody presses the button."""
        self.shown, self.result, self.error = "", None, None

        def take(message: dict[str, Any]) -> None:
            self._take(message)
            if interrupt_at is not None and interrupt_at in message["content"].get("text", ""):
                # (A signal in the very moment in which a blocking call begins is heard when it ends.)
                threading.Timer(0.3, self._manager.interrupt_kernel).start()

        self._client.execute_interactive(cell, output_hook=take, timeout=60)
        assert self.error == error, self.shown
        return self.shown

    def wait_for(self, text: str) -> None:
        """What programs write is passed on by a thread of the kernel's, perhaps when the cell has ended."""
        while text not in self.shown:
            self._take(self._client.get_iopub_msg(timeout=PATIENCE))

    def _take(self, message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream":
            self.shown += content["text"]
        elif message["msg_type"] == "execute_result":
            self.result = content["data"]["text/plain"]
        elif message["msg_type"] == "error":
            self.error = content["ename"]


@pytest.fixture(scope="module")
def kernel() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    # A kernel that finds itself in a test does not show what programs write.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    manager, client = start_new_kernel(kernel_name="python3", env={**inherited, "PYTHONPATH": str(SOURCE)})
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def notebook(kernel: tuple[KernelManager, BlockingKernelClient], penstock_home: Path) -> Iterator[Notebook]:
    made = Notebook(*kernel)
    made.run(f"import os\nos.environ.update(PENSTOCK_HOME={str(penstock_home)!r}, PENSTOCK_STOP_WATCHDOG='false')")
    made.run(SETUP)
    yield made
    assert made.run("print((sys.stdout, sys.stderr) == streams)") == "True\n", "a cell's streams are the notebook's"
    made.run("from penstock import connect\nconnect.disconnect()")


def printed(record: Record, flow: str | None = None) -> list[str]:
    (run,) = record.flow_runs(flow)
    return [line.message for line in record.lines(run) if line.function is not None]


def test_prints_are_in_the_log_and_below_the_cell_that_wrote_them(notebook: Notebook, record: Record) -> None:
    cell = """
@task
def work(number):
    print("task", number)

@flow(log_prints=True)
def NAME():
    print("hello from NAME")
    work.map([1, 2]).wait()
    return 5

print("plain")
NAME()"""
    for name in ("one", "two"):
        shown = notebook.run(cell.replace("NAME", name))
        assert notebook.result == "5"
        assert "plain\n" in shown
        assert shown.count(f"- hello from {name}\n") == shown.count("- task 1\n") == shown.count("- task 2\n") == 1
        assert shown.count(f"for flow '{name}'\n") == 1
        assert "hello from one" not in shown or name == "one", "each cell shows its own"
        lines = printed(record, name)
        assert lines[0] == f"hello from {name}"
        assert sorted(lines[1:]) == ["task 1", "task 2"]


def test_flows_run_while_the_event_loop_of_the_cell_does(notebook: Notebook, record: Record) -> None:
    notebook.run("""
@flow(log_prints=True)
async def main():
    print("before")
    await asyncio.sleep(0.01)
    print("after")
    return 5

await main()""")
    assert notebook.result == "5"
    assert printed(record) == ["before", "after"]
    notebook.run("await asyncio.gather(main(), main())")
    assert notebook.result == "[5, 5]"
    assert [record.messages(run).count("after") for run in record.flow_runs()] == [1, 1, 1]


@pytest.mark.parametrize("how", ["log_prints=True", "capture='all'"])
def test_a_bar_is_drawn_in_the_cell_and_is_one_line_of_the_log(how: str, notebook: Notebook, record: Record) -> None:
    shown = notebook.run(f"""
from tqdm import tqdm

@flow({how})
def main():
    for _ in tqdm(range(50), mininterval=0): pass

main()""")
    assert shown.count("\r") >= 50
    (bar,) = printed(record)
    assert bar.startswith("100%")


def test_an_exception_in_a_cell_leaves_the_notebook_as_it_was(notebook: Notebook, record: Record) -> None:
    shown = notebook.run(
        """
@flow(log_prints=True)
def main():
    print("before")
    1 / 0

main()""",
        error="ZeroDivisionError",
    )
    assert "- before\n" in shown
    assert printed(record) == ["before"]
    assert record.flow_run().state_name == "Failed"


def test_what_programs_write_in_a_cell_is_captured(notebook: Notebook, record: Record) -> None:
    cell = """
@flow(capture="all")
def main():
    print("printed")
    subprocess.run(["echo", "program"], check=True)
    os.write(2, b"to 2\\n")
    get_ipython().system("echo bang")

main()"""
    for _ in range(2):
        notebook.run(cell)
        for line in ("printed\n", "program\n", "to 2\n", "bang\n"):
            notebook.wait_for(line)
            assert notebook.shown.count(line) == 1, notebook.shown
    for run in record.flow_runs():
        own = [line for line in record.messages(run) if not line.startswith(("Created", "Finished"))]
        assert own == ["printed", "program", "to 2", "bang"]
    notebook.run("os.write(1, b'as ever\\n')")
    notebook.wait_for("as ever\n")


@pytest.mark.parametrize("how", ["log_prints=True", "capture='all'"])
def test_the_button_that_interrupts_ends_a_flow_that_blocks(how: str, notebook: Notebook, record: Record) -> None:
    notebook.run(
        f"""
@flow({how})
def main():
    print("asleep")
    time.sleep(50)

main()""",
        interrupt_at="asleep",
        error="KeyboardInterrupt",
    )
    assert printed(record) == ["asleep"]
    assert record.flow_run().state_name == "Cancelled"
    notebook.run("os.write(1, b'as ever\\n')")
    notebook.wait_for("as ever\n")
