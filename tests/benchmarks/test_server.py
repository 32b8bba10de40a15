"""What is said of a server's costs was measured, and a measurement that lost something fails."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The benchmarks are no part of the package: this asks them what they say when something is wrong.
LOSING = """
import sys
import benchmarks.server_place
from benchmarks import server
from benchmarks.server_place import Place

class Losing(Place):
    def count(self):
        return {kind: rows - 1 for kind, rows in super().count().items()}

benchmarks.server_place.Place = Losing
sys.exit(server.main(["--quick", "--database", "sqlite", "--only", "ingest"]))
"""


def measured(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_cheap_parts_run_through_and_every_row_is_there(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    parts = ("start", "ingest", "load", "streams")
    ended = measured(
        "-m", "benchmarks.server", "--quick", "--minutes", "0.1", "--database", "sqlite", "--markdown", str(page),
        "--only", *parts,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    text = page.read_text()
    titles = re.findall("^## (.*)", text, re.M)
    assert [title.split()[0] for title in titles] == ["Start", "Journal", "32", "400"]
    assert re.search(r"\| errors +\| +0 \|", text)
    assert "FAILED" not in text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_row_that_is_not_there_fails_the_measurement() -> None:
    ended = measured("-c", LOSING)
    assert ended.returncode == 1
    assert "WRONG: ingest by 1: task runs on SQLite: 9999 in the record, where 10000 should be" in ended.stderr
