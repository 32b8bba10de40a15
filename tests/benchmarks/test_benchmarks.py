"""One command measures what `docs/benchmarks.md` says, each product on the same work, and a wrong record fails it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.clusters import PACKAGES
from benchmarks.products import DASK, DBOS, PENSTOCK, PREFECT, RAY, Product
from benchmarks.workloads import WORKLOADS

from benchmarks import other_pages

ROOT = Path(__file__).parents[2]
# The benchmarks are no part of the package: this asks them what they say when a row is not there.
LOSING = """
import sys
from benchmarks import __main__, measure

count = measure.counted_at

def losing(database, queries):
    return {kind: [max(rows - 1, 0), final] for kind, (rows, final) in count(database, queries).items()}

measure.counted_at = losing
sys.exit(__main__.main())
"""
SMALL = ("--quick", "--repeat", "1", "--only")


def measured(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("product", [PENSTOCK, PREFECT, DBOS, DASK, RAY], ids=lambda product: product.name)
def test_each_product_has_a_program_for_each_work_or_says_why_not(product: Product) -> None:
    for workload in WORKLOADS:
        assert product.program(workload).exists() != (workload.name in product.lacks), workload.name


def test_programs_of_others_do_not_import_penstock() -> None:
    scripts = ROOT / "benchmarks" / "scripts"
    programs = [path for folder in ("dbos", "dask", "ray") for path in (scripts / folder).glob("*.py")]
    assert len(programs) > 10
    for path in programs:
        assert "penstock" not in path.read_text(), path


def test_what_other_pages_measured_is_read_from_them() -> None:
    cancelled, resumed, asked = other_pages.lines()
    assert "–" not in resumed
    assert "–" not in asked
    assert all(re.fullmatch(r"[\d.]+ (s|ms|µs) (met|NOT MET)", cell) for cell in [*cancelled[3:5], *resumed[3:]])
    assert all(re.fullmatch(r"\d+ of \d+, slowest [\d.]+ m?s (met|NOT MET)", cell) for cell in asked[3:])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_page_has_what_was_asked_for(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    clusters = [kind for kind, package in PACKAGES.items() if importlib.util.find_spec(package)]
    asked = [f"--{kind}={sys.executable}" for kind in clusters]
    works = ("mapped:20", "clusters:20")
    ended = measured("-m", "benchmarks", *SMALL, *works, "--served", "sqlite", "--markdown", str(page), *asked)
    assert ended.returncode == 0, ended.stderr[-2000:]
    text = page.read_text()
    assert f"--served sqlite{''.join(f' --{kind} PYTHON' for kind in clusters)}`" in text
    titles = re.findall("^## (.*)", text, re.M)
    beside = ["Beside the others", "On Dask and on Ray"] if clusters else []
    assert titles == ["The budgets", "What Penstock costs", "Served", *beside]
    for kind in clusters:
        assert re.search(rf"^- {kind.capitalize()} \d", text, re.M)  # its version
        assert re.search(rf"^\| {kind.capitalize()} [\d.]+, mapped +\| +20 \|", text, re.M)
    assert re.search(r"^\| server start, to its first answer .* \d+ m?s (met|NOT MET) +\|$", text, re.M)
    assert "failed" not in text.lower()


@pytest.mark.slow
@pytest.mark.parametrize("way", [[], ["--served", "sqlite"]], ids=["embedded", "served"])
def test_a_row_that_is_not_there_fails_the_measurement(way: list[str]) -> None:
    ended = measured("-c", LOSING, *SMALL, "sequential:10", *way)
    assert ended.returncode == 1
    who = "served, SQLite" if way else "Penstock"
    assert f"WRONG: sequential 10, {who}:" in ended.stderr
    assert "task runs: 10 recorded and 11 of them complete, where 11 are expected" in ended.stderr


@pytest.mark.slow
def test_a_large_work_is_said_to_be_flat_or_not() -> None:
    large = "from benchmarks import __main__, measure; measure.LARGE = 500; __main__.main()"
    ended = measured("-c", large, *SMALL, "sequential:1000")
    assert ended.returncode == 0, ended.stderr[-2000:]
    row = next(line for line in ended.stdout.splitlines() if line.startswith("| `sequential` "))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:3] == ["1,000", "embedded"]
    assert cells[-1] in ("met", "NOT MET")
    assert "sequential tasks: the last tenth against the first" in ended.stdout
