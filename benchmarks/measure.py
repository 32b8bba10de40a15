"""Measures: one workload, one size, one product at a time, each in a fresh process with a fresh home."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from .products import BARE, PENSTOCK, PREFECT, PREFIXES, Product, Record, at
from .timed import count
from .workloads import WORKLOADS, Counts, Workload, expected

__all__ = ["BARE", "PENSTOCK", "PREFECT", "Bench", "Product", "Row", "Sample", "at", "check_values", "end_group"]
HERE = Path(__file__).parent
LONGEST_RUN_SECONDS = 1800.0
# A cheap measurement that is a small difference of two: more of them.
IMPORTS_A_REPEAT = 5
# From here on it is noted how far it is after each tenth.
LARGE = 100_000
MEBIBYTE_OF_MAXRSS = 1 << 20 if sys.platform == "darwin" else 1 << 10


@dataclass(frozen=True)
class ServerCost:
    """Of the server that took a sample's rows: seconds from the command to its first answer, and resident MiB then and
    when all was recorded."""

    start: float
    memory: float
    memory_after: float


@dataclass(frozen=True)
class Sample:
    """One measurement. `returned` is the program's own time, `seconds` the time until all was recorded."""

    seconds: float
    returned: float
    peak: float  # MiB, of the largest process; at least that of the small one that started it (some 12)
    value: Any = None
    wrong: str = ""
    # After each tenth of a large workload: seconds since the beginning, and what is resident then (MiB).
    tenths: tuple[tuple[float, float], ...] = ()
    server: ServerCost | None = None
    # Seconds of a processor: of the thread that calls, and of all others of the process.
    here: float = 0.0
    elsewhere: float = 0.0


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
        with self._stage(workload, product) as home, product.opened(home) as record:
            server = record.server
            memory = server.memory() if server else 0.0
            if workload.whole:
                sample = self._whole(home, product, record)
            else:
                sample = self._timed(home, product, record, workload, n)
            if server:
                cost = ServerCost(server.seconds_to_start, memory, server.memory())
                sample = replace(sample, server=cost)
            if sample.wrong or not record.database:
                return sample
            return replace(sample, wrong=check(product, record.database, expected(workload, n)))

    @contextmanager
    def _stage(self, workload: Workload, product: Product) -> Iterator[Path]:
        """A fresh folder with the workload in it, written for the product."""
        with tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as name:
            home = Path(name)
            text = product.program(workload).read_text()
            if product is BARE and workload.whole:
                text = ""
            if not product.folder:
                text = text.replace("from penstock import", f"from {product.package} import")
            (home / "workload.py").write_text(text)
            shutil.copy(HERE / "timed.py", home)
            shutil.copy(HERE / "bare.py", home)
            yield home

    def _whole(self, home: Path, product: Product, record: Record) -> Sample:
        seconds, peak, code = self._process([product.python, "workload.py"], home, product, record)
        return Sample(seconds, seconds, peak, wrong=f"the process ended with {code}" if code else "")

    def _timed(self, home: Path, product: Product, record: Record, workload: Workload, n: int) -> Sample:
        outcome = home / "outcome.json"
        job = {
            "package": product.package,
            "n": n,
            "outcome": str(outcome),
            "database": record.database,
            "queries": product.queries,
            "expected": expected(workload, n),
            "patience": product.patience,
            "tenths": n >= LARGE,
        }
        (home / "job.json").write_text(json.dumps(job))
        _, peak, code = self._process([product.python, "timed.py", "job.json"], home, product, record)
        found: dict[str, Any] = {"error": f"the process ended with {code}"}
        if outcome.exists():
            found = json.loads(outcome.read_text())
        if "error" in found:
            return Sample(0.0, 0.0, peak, wrong=found["error"])
        tenths = tuple((seconds, memory) for seconds, memory in found["tenths"])
        return Sample(
            found["seconds"], found["returned"], peak, found["value"], tenths=tenths,
            here=found["here"], elsewhere=found["elsewhere"],
        )  # fmt: skip

    def _process(self, command: list[str], home: Path, product: Product, record: Record) -> tuple[float, float, int]:
        """Seconds, peak MiB and exit code. The process leads a group, and nothing of it stays behind."""
        nowhere = subprocess.DEVNULL
        outcome = home / "launched.json"
        process = subprocess.Popen(
            [sys.executable, str(HERE / "launched.py"), str(outcome), *command],
            cwd=home, env=self.environment(home, product) | record.settings, start_new_session=True,
            stdin=nowhere, stdout=nowhere, stderr=nowhere,
        )  # fmt: skip
        end = threading.Timer(LONGEST_RUN_SECONDS, end_group, [process.pid])
        end.start()
        try:
            process.wait()
        finally:
            end.cancel()
            end_group(process.pid)  # a server that outlived its program would burden the next measurement
        if not outcome.exists():
            return 0.0, 0.0, process.returncode
        seconds, peak, code = json.loads(outcome.read_text())
        return seconds, peak / MEBIBYTE_OF_MAXRSS, code

    def environment(self, home: Path, product: Product) -> dict[str, str]:
        """As a user has it, without settings of the products and of Python that would change what is measured."""
        switches = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(PREFIXES) and k not in switches}
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


def counted_at(database: str, queries: dict[str, str]) -> dict[str, list[int]]:
    """As `timed.count`, of a PostgreSQL database too."""
    if not database.startswith("postgresql:"):
        return count(database, queries)
    import psycopg

    with closing(psycopg.connect(database, options="-c search_path=dbos,public")) as connection:
        found = {}
        for kind, sql in queries.items():
            row = connection.execute(sql.encode()).fetchone()
            found[kind] = [int(number) for number in row or ()]
        return found


def check(product: Product, database: str, wanted: Counts) -> str:
    """What is wrong with the record, if anything: rows that are missing, too many, or not final."""
    if not wanted:
        return ""
    try:
        counted = counted_at(database, product.queries)
    except Exception as trouble:
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
