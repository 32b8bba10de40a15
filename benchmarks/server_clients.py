"""Client processes: each gets ready by itself, and all begin at the same moment.

`Clients` starts programs that call `be_client(prepare)`. What goes between them are lines of JSON: the job, then what
`prepare(job)` found out while it got ready, then, after the word to begin, what the work gave.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from .server_place import ROOT, environment

Job = dict[str, Any]
Work = Callable[[], Any]


class Clients:
    """A process for each of the jobs, all of them ready when this is made: `ready` is what each said then."""

    def __init__(self, module: str, jobs: Sequence[Job]) -> None:
        command = [sys.executable, "-m", f"benchmarks.{module}"]
        self._processes = [
            subprocess.Popen(
                command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in jobs
        ]
        try:
            for process, job in zip(self._processes, jobs, strict=True):
                self._tell(process, json.dumps(job))
            self.ready = [self._hear(process) for process in self._processes]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def work(self) -> list[Any]:
        """Lets them begin; what each gave, when all have ended."""
        for process in self._processes:
            self._tell(process, "begin")
        return [self._hear(process) for process in self._processes]

    @staticmethod
    def _tell(process: subprocess.Popen[str], text: str) -> None:
        assert process.stdin is not None
        process.stdin.write(text + "\n")
        process.stdin.flush()

    @staticmethod
    def _hear(process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"a client process ended with {process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()


def be_client(prepare: Callable[[Job], tuple[Any, Work]]) -> None:
    """What a client process does: `prepare` gives what is said when it is ready, and the work."""
    said, work = prepare(json.loads(sys.stdin.readline()))
    print(json.dumps(said), flush=True)
    sys.stdin.readline()
    print(json.dumps(work()), flush=True)
