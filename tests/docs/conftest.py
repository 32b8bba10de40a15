"""Programs and commands as a reader of the docs runs them, and the blocks of a page."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@dataclasses.dataclass
class Ended:
    """A program that came to its end; `err` has the log lines."""

    code: int
    out: str
    err: str

    def lines(self) -> list[str]:
        """Log lines without their times and run names, and then what was printed plainly."""
        return plain(self.err) + plain(self.out)


@dataclasses.dataclass
class Block:
    """A fenced block: `info` is all that stands behind the three backticks.

    `before` and `after` are code that readers do not see, from comments right before and behind a block
    (`<!-- before`, code, `-->`): what happens around the program, as somebody who answers it.
    """

    page: Path
    line: int
    info: str
    text: str
    before: str = ""
    after: str = ""

    @property
    def program(self) -> str:
        return self.before + self.text + self.after

    @property
    def id(self) -> str:
        return f"{self.page.name}:{self.line}"


def plain(text: str) -> list[str]:
    """Lines of output with what differs from run to run taken out: times, durations, ids, random names, column widths.

    Random names are numbered in the order in which they appear: RUN1, RUN2.
    """
    names = dict.fromkeys(re.findall(r"(?:Flow run|Created (?:sub)?flow run|Flow run:) +'?([a-z]+(?:-[a-z]+)+)", text))
    names |= dict.fromkeys(re.findall(r"^[✓✗⊘⚡] ([a-z]+(?:-[a-z]+)+)  \(", text, re.M))
    for number, name in enumerate(names, 1):
        text = re.sub(rf"\b{name}\b", f"RUN{number}", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"(\d{4}-\d\d-\d\d )?\b\d\d:\d\d:\d\d\.\d{3}", "TIME", text)
    text = re.sub(r"\b\d+(\.\d+)?(µs|ms|s)\b", "SPAN", text)
    text = re.sub(r"\b(just now|\d+ \w+ ago)\b", "AGO", text)
    text = re.sub(r"File \"[^\"]*\", line \d+", 'File "…"', text)
    text = re.sub(r"(?:[^\s:]*/)?(\w+\.py):\d+ in\b", r"\1:LINE in", text)
    text = re.sub(r"\b(Stopped|stopped|abandoned|raised|returned|killed) after \d+(\.\d+)? s\b", r"\1 after SPAN", text)
    text = re.sub(r"\bits process \(\d+\)", "its process (PID)", text)
    text = re.sub(r"\b[\w.-]+@[\w.-]+ via\b", "SOMEBODY via", text)
    return [" ".join(line.split()) for line in text.splitlines()]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    before = ""
    opened: tuple[int, str, list[str]] | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if opened is None and line.startswith(("```", "<!-- before", "<!-- after")):
            opened = (number, line.removeprefix("```").strip(), [])
        elif opened is not None and line == ("-->" if opened[1].startswith("<!--") else "```"):
            text = "\n".join(opened[2]) + "\n"
            if opened[1] == "<!-- before":
                before = text
            elif opened[1] == "<!-- after":
                found[-1].after = text
            else:
                found.append(Block(page, opened[0], opened[1], text, before))
                before = ""
            opened = None
        elif opened is not None:
            opened[2].append(line)
    assert opened is None, f"{page}: what begins in line {opened[0]} is not closed"
    assert not before, f"{page}: no block follows the last `before`"
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The empty folder that programs of this test run in."""
    made = tmp_path / "cwd"
    made.mkdir()
    return made


def surroundings() -> dict[str, str]:
    """The environment of a program: this checkout's Penstock; with the watchdog, which other tests are spared, for
    pages are read by people who have it."""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PENSTOCK_STOP_WATCHDOG": "true", "PYTHONPATH": path, "PYTHONUTF8": "1"}


@pytest.fixture
def run(penstock_home: Path, folder: Path) -> Callable[..., Ended]:
    """`python ARGUMENTS…` in a process of its own, recorded in this test's PENSTOCK_HOME."""

    def run(*arguments: str | Path, stdin: str | None = None, **environment: str) -> Ended:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=folder,
            env={**surroundings(), **environment},
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=40,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def serving(penstock_home: Path, folder: Path) -> Callable[[Path], AbstractContextManager[None]]:
    """`with serving(program):` it serves its deployments; at the end it gets a Ctrl-C, and must end by that."""

    @contextlib.contextmanager
    def serving(program: Path) -> Iterator[None]:
        with subprocess.Popen(
            [sys.executable, program], cwd=folder, env=surroundings(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        ) as process:  # fmt: skip
            assert process.stdout is not None
            said = []
            try:
                for line in process.stdout:
                    said.append(line)
                    if line.startswith("Serving "):
                        break
                assert process.poll() is None, "".join(said)
                yield
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=20)
                assert process.returncode in (0, -signal.SIGINT), "".join(said)
            finally:
                process.kill()

    return serving


@pytest.fixture
def penstock(run: Callable[..., Ended]) -> Callable[..., Any]:
    """A command that must succeed: its JSON, read."""

    def command(*arguments: str) -> Any:
        ended = run("-m", "penstock", *arguments, "--output", "json")
        assert ended.code == 0, ended
        return json.loads(ended.out)

    return command
