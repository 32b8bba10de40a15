"""Every test of the command line runs in an empty folder with a home of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from penstock.cli.main import root
from penstock.settings import refresh

from .records import Records

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, penstock_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of this test."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    refresh()
    yield project
    refresh()


@pytest.fixture
def run() -> Run:
    """Run a command in this process: `run("config", "view").stdout`."""
    return lambda *arguments: CliRunner().invoke(root, arguments)


@pytest.fixture
def records(folder: Path) -> Iterator[Records]:
    """The record of this test, to be written to."""
    made = Records()
    yield made
    made.store.close()
