"""Every test of settings runs in an empty folder with a home of its own, and looks at files afresh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.settings import refresh


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
def profiles_file(penstock_home: Path) -> Path:
    """Where the profiles of this test are; the folder is there, the file is not."""
    penstock_home.mkdir()
    return penstock_home / "profiles.toml"
