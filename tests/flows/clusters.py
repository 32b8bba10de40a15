"""Clusters whose parts are programs of their own, to be killed by tests."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from .kit import SOURCE, until

START_SECONDS = 40.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        return int(nobody.getsockname()[1])


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class DaskPrograms:
    """A scheduler and workers of Dask's."""

    def __init__(self, source: Path = SOURCE) -> None:
        self.port = free_port()
        self.workers: list[subprocess.Popen[bytes]] = []
        self._source = source
        self._all: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start_scheduler(self) -> None:
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard", "--no-show"]
        self.scheduler = self._start("distributed.cli.dask_scheduler", *options)
        until(lambda: answers(self.port), START_SECONDS)

    def start_worker(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        worker = self._start(
            "distributed.cli.dask_worker", self.address, "--nthreads", "1", "--no-dashboard", *options, **environment
        )
        self.workers.append(worker)
        return worker

    def kill(self, *programs: subprocess.Popen[bytes]) -> None:
        """With all that they have started."""
        for program in programs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()

    def close(self) -> None:
        self.kill(*self._all)

    def _start(self, module: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        program = subprocess.Popen(
            [sys.executable, "-m", module, *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(self._source), **environment},
        )  # fmt: skip
        self._all.append(program)
        return program


@contextlib.contextmanager
def dask_programs(source: Path = SOURCE) -> Iterator[DaskPrograms]:
    made = DaskPrograms(source)
    try:
        yield made
    finally:
        made.close()


class RayHead:
    """A head of Ray's, with all its processes."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.port = free_port()
        self.client_port = free_port()
        self._folder = folder
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--port", str(self.port), "--num-cpus", "2",
            "--include-dashboard=false", "--disable-usage-stats", "--ray-client-server-port", str(self.client_port),
            "--node-ip-address", "127.0.0.1", "--temp-dir", str(folder),
        ]  # fmt: skip
        subprocess.run(
            command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(SOURCE), "RAY_AUTH_MODE": "disabled", **environment},
            timeout=START_SECONDS,
        )  # fmt: skip

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def processes(self, name: str = "") -> list[Any]:
        """Those of the head whose names begin so."""
        found = []
        for process in psutil.process_iter(["name", "cmdline"]):
            words = " ".join(process.info["cmdline"] or [])
            if str(self._folder) in words and process.info["name"].startswith(name):
                found.append(process)
        return found

    def kill(self, name: str = "") -> None:
        for process in self.processes(name):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def close(self) -> None:
        self.kill()
