"""Measures: one workload, one size, one product at a time, each in a fresh process with a fresh home."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from .timed import count
from .workloads import WORKLOADS, Record, Workload, expected

HERE = Path(__file__).parent
LONGEST_RUN_SECONDS = 1800.0
# A cheap measurement that is a small difference of two: more of them.
IMPORTS_A_REPEAT = 5
MEBIBYTE_OF_MAXRSS = 1 << 20 if sys.platform == "darwin" else 1 << 10


@dataclass(frozen=True)
class Product:
    """What a workload is run with. `queries` count the rows of a kind, and those that are complete and final."""

    name: str
    package: str
    python: str = sys.executable
    home: str = ""
    database: str = ""
    queries: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    # How long the record may lag behind the program that made it.
    patience: float = 0.0
    keeps_python_path: bool = True


BARE = Product("bare Python", "bare")

_FINAL = "state_type = 'COMPLETED' AND started IS NOT NULL AND ended IS NOT NULL"
PENSTOCK = Product(
    "Penstock",
    "penstock",
    home="PENSTOCK_HOME",
    database="penstock.db",
    queries={
        "flow runs": f"SELECT count(*), sum({_FINAL} AND lines_lost = 0) FROM flow_run",
        "subflow runs": f"""SELECT count(*), sum({_FINAL} AND flow_run_id IN (SELECT id FROM flow_run))
            FROM flow_run WHERE flow_run_id IS NOT NULL""",
        "task runs": f"SELECT count(*), sum({_FINAL} AND flow_run_id IN (SELECT id FROM flow_run)) FROM task_run",
        "lines": "SELECT count(*), count(DISTINCT message) FROM log WHERE message LIKE 'line %'",
        "greetings": "SELECT count(*), count(DISTINCT message) FROM log WHERE message LIKE 'Hello%'",
    },
)

_PREFECT_FINAL = "state_type = 'COMPLETED' AND end_time IS NOT NULL"
PREFECT = Product(
    "Prefect",
    "prefect",
    home="PREFECT_HOME",
    database="prefect.db",
    queries={
        "flow runs": f"SELECT count(*), sum({_PREFECT_FINAL}) FROM flow_run",
        "subflow runs": f"""SELECT count(*), sum({_PREFECT_FINAL})
            FROM flow_run WHERE parent_task_run_id IS NOT NULL""",
        # A subflow has a task run there that stands for it.
        "task runs": f"""SELECT count(*), sum({_PREFECT_FINAL}) FROM task_run WHERE id NOT IN
            (SELECT parent_task_run_id FROM flow_run WHERE parent_task_run_id IS NOT NULL)""",
        "lines": PENSTOCK.queries["lines"],
        "greetings": PENSTOCK.queries["greetings"],
    },
    settings={
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    },
    patience=180.0,
    keeps_python_path=False,
)


def prefect_at(python: str) -> Product:
    return replace(PREFECT, python=python)


@dataclass(frozen=True)
class Sample:
    """One measurement. `returned` is the program's own time, `seconds` the time until all was recorded."""

    seconds: float
    returned: float
    peak: float  # MiB, of the largest process; Linux counts what this program had when it started it (some 20)
    value: Any = None
    wrong: str = ""


@dataclass
class Row:
    """All the samples of one workload at one size."""

    workload: Workload
    n: int
    samples: dict[str, list[Sample]]

    def has(self, product: str) -> bool:
        return bool(self.good(product))

    def good(self, product: str) -> list[Sample]:
        return [sample for sample in self.samples.get(product, ()) if sample.seconds]

    def wrong(self, product: str) -> list[str]:
        return [sample.wrong for sample in self.samples.get(product, ()) if sample.wrong]

    def bare(self) -> float:
        """One operation in bare Python."""
        return median(sample.seconds for sample in self.good(BARE.name)) / self.n

    def each(self, product: str, which: str = "seconds") -> list[float]:
        """One operation in each sample, as it is held against the budget."""
        off = self.bare() if self.workload.over_bare and product != BARE.name else 0.0
        return [getattr(sample, which) / self.n - off for sample in self.good(product)]

    def peak(self, product: str) -> float:
        return median(sample.peak for sample in self.good(product))


class Bench:
    """A session: its processes share one cache of bytecode, in a folder that goes away with the session."""

    def __init__(self, folder: Path, repeat: int, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.repeat = repeat
        self.say = say

    def prepare(self, products: list[Product]) -> None:
        """Fills the cache of bytecode, which an installed package has had since its first import."""
        hello = next(workload for workload in WORKLOADS if workload.name == "cold")
        for product in products:
            self.say(f"preparing {product.name}")
            self.sample(hello, 1, product)

    def row(self, workload: Workload, n: int, products: list[Product]) -> Row:
        """Measures A B A B, so that what else the machine does falls on all alike."""
        row = Row(workload, n, {product.name: [] for product in products})
        rounds = self.repeat * (IMPORTS_A_REPEAT if workload.name == "import" else 1)
        for turn in range(rounds):
            for product in products:
                if product.patience and turn >= self.repeat:
                    continue
                sample = self.sample(workload, n, product)
                row.samples[product.name].append(sample)
                self.say(f"{workload.name} {n:,} {product.name} {turn + 1}/{rounds}: {sample.seconds:.3f} s")
                if sample.wrong:
                    self.say(f"  {sample.wrong}")
        return row

    def sample(self, workload: Workload, n: int, product: Product) -> Sample:
        with self._stage(workload, product) as home:
            if workload.whole:
                sample = self._whole(home, product)
            else:
                sample = self._timed(home, product, workload, n)
            if sample.wrong or not product.database:
                return sample
            return replace(sample, wrong=check(product, home, expected(workload, n)))

    @contextmanager
    def _stage(self, workload: Workload, product: Product) -> Iterator[Path]:
        """A fresh folder with the workload in it, written for the product."""
        with tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as name:
            home = Path(name)
            text = (HERE / "scripts" / workload.script).read_text()
            if product is BARE and workload.whole:
                text = ""
            (home / "workload.py").write_text(text.replace("from penstock import", f"from {product.package} import"))
            shutil.copy(HERE / "timed.py", home)
            shutil.copy(HERE / "bare.py", home)
            yield home

    def _whole(self, home: Path, product: Product) -> Sample:
        seconds, peak, code = self._process([product.python, "workload.py"], home, product)
        return Sample(seconds, seconds, peak, wrong=f"the process ended with {code}" if code else "")

    def _timed(self, home: Path, product: Product, workload: Workload, n: int) -> Sample:
        outcome = home / "outcome.json"
        job = {
            "package": product.package,
            "n": n,
            "outcome": str(outcome),
            "database": str(home / product.database),
            "queries": product.queries,
            "expected": expected(workload, n),
            "patience": product.patience,
        }
        (home / "job.json").write_text(json.dumps(job))
        _, peak, code = self._process([product.python, "timed.py", "job.json"], home, product)
        found: dict[str, Any] = {"error": f"the process ended with {code}"}
        if outcome.exists():
            found = json.loads(outcome.read_text())
        if "error" in found:
            return Sample(0.0, 0.0, peak, wrong=found["error"])
        return Sample(found["seconds"], found["returned"], peak, found["value"])

    def _process(self, command: list[str], home: Path, product: Product) -> tuple[float, float, int]:
        """Seconds, peak MiB and exit code. The process leads a group, and nothing of it stays behind."""
        nowhere = subprocess.DEVNULL
        began = perf_counter()
        process = subprocess.Popen(
            command, cwd=home, env=self.environment(home, product), start_new_session=True,
            stdin=nowhere, stdout=nowhere, stderr=nowhere,
        )  # fmt: skip
        end = threading.Timer(LONGEST_RUN_SECONDS, end_group, [process.pid])
        end.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = perf_counter() - began
        finally:
            end.cancel()
            end_group(process.pid)  # a server that outlived its program would burden the next measurement
        process.returncode = os.waitstatus_to_exitcode(status)
        return seconds, usage.ru_maxrss / MEBIBYTE_OF_MAXRSS, process.returncode

    def environment(self, home: Path, product: Product) -> dict[str, str]:
        """As a user has it, without settings of either product and of Python that would change what is measured."""
        ours = ("PENSTOCK_", "PREFECT_")
        switches = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(ours) and k not in switches}
        python_path = environment.pop("PYTHONPATH", "")
        if python_path and product.keeps_python_path:
            environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, python_path.split(os.pathsep)))
        environment["PYTHONPYCACHEPREFIX"] = str(self.folder / "bytecode")
        if product.home:
            environment[product.home] = str(home)
        return environment | product.settings

    def ask(self, command: list[str], product: Product) -> Any:
        """What a program prints as JSON."""
        environment = self.environment(self.folder, product)
        done = subprocess.run(command, cwd=self.folder, env=environment, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)


def end_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


def check(product: Product, home: Path, wanted: Record) -> str:
    """What is wrong with the record, if anything: rows that are missing, too many, or not final."""
    if not wanted:
        return ""
    try:
        counted = count(str(home / product.database), product.queries)
    except sqlite3.Error as trouble:
        return f"the record cannot be read: {trouble}"
    wrong = []
    for kind, (rows, final) in counted.items():
        want = wanted.get(kind, 0)
        if (rows, final) != (want, want):
            wrong.append(f"{kind}: {rows} recorded and {final} of them complete, where {want} are expected")
    return "; ".join(wrong)


def check_values(row: Row) -> None:
    """What the program computed must be what bare Python computes."""
    values = [sample.value for sample in row.good(BARE.name)]
    for samples in row.samples.values():
        for i, sample in enumerate(samples):
            if not sample.wrong and sample.value != values[0]:
                samples[i] = replace(sample, wrong=f"the result is {sample.value!r} and should be {values[0]!r}")
