"""Decorated functions keep their types: the sample is held to what it claims by the type checker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def check(path: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
    return subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(path)], capture_output=True, text=True, timeout=110, cwd=ROOT
    )


def test_the_type_checker_sees_what_users_wrote_and_errors_where_there_are_some(tmp_path: Path) -> None:
    done = check(HERE / "sample.py", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
