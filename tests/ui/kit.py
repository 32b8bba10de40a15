"""A browser, a server that it looks at, and programs whose flows are seen there."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from penstock.domain.runs import FlowRun

from ..flows.kit import SOURCE, until
from ..served.kit import ServerProcess, runs_of

PROGRAMS = Path(__file__).with_name("programs.py")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# What a page may take until something is seen on it; a machine that does much else is slow.
PATIENCE = 15_000


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = next(found for name in CHROMIUM if (found := shutil.which(name)))
        # (As root, and in containers, it has no sandbox to make.)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


class Watched:
    """A page, and what went wrong on it: errors of its code, what its policy refused, requests that left the origin."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.faults: list[str] = []
        self.origin = origin
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", lambda request: self._check(request.url))
        self.page.on("console", lambda said: self._hear(said.type, said.text))

    def _check(self, url: str) -> None:
        if not url.startswith((self.origin, self.origin.replace("http", "ws"), "data:")):
            self.faults.append(f"left the origin: {url}")

    def _hear(self, kind: str, text: str) -> None:
        # (An answer that refuses is said by the browser as well.)
        if kind == "error" and "Failed to load resource" not in text and "WebSocket" not in text:
            self.faults.append(text)

    def go(self, path: str) -> Page:
        self.page.goto(self.origin + path)
        return self.page


class House:
    """A server with its record, and the programs that report to it."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.server = ServerProcess(home, **environment).start()
        self.origin = f"http://127.0.0.1:{self.server.port}"
        # runs that a module's tests share, by a name
        self.known: dict[str, FlowRun] = {}
        self._programs: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, directory: Path | None = None) -> subprocess.Popen[bytes]:
        """A program that runs one of the flows, in a directory of its own."""
        directory = directory or self.home / f"program-{len(self._programs)}"
        directory.mkdir(exist_ok=True)
        program = subprocess.Popen(
            [sys.executable, str(PROGRAMS), name], cwd=directory, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(SOURCE), "PENSTOCK_HOME": str(directory / "home"),
                 "PENSTOCK_API_URL": self.server.url},
        )  # fmt: skip
        self._programs.append(program)
        return program

    def run(self, name: str) -> FlowRun:
        """A program's run, when the program has ended."""
        self.start(name).wait(60)
        return self.newest(name.replace("_", "-"))

    def begun(
        self, name: str, state: str = "Running", directory: Path | None = None
    ) -> tuple[FlowRun, subprocess.Popen[bytes]]:
        """A program's run, once it is in this state."""
        known = {run.id for run in self.runs(name.replace("_", "-"))}
        program = self.start(name, directory)
        new: list[FlowRun] = []

        def is_there() -> bool:
            new[:] = [run for run in self.runs(name.replace("_", "-"), state) if run.id not in known]
            return bool(new)

        until(is_there, 30)
        return new[0], program

    def newest(self, flow: str) -> FlowRun:
        return self.runs(flow)[0]

    def runs(self, flow: str, state: str | None = None) -> list[FlowRun]:
        return runs_of(self.server.url, flow_names=(flow,), state_names=(state,) if state else ())

    def close(self) -> None:
        for program in self._programs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, 9)
            program.wait()
        self.server.close()
