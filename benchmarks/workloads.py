"""What is measured, how much of it, what the record must hold afterwards, and the budgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

MS, US = 1e-3, 1e-6

# Seconds for one operation, the record included. `over bare`: the same work without the product is taken off.
BUDGETS = {
    "import": 60 * MS,  # over bare
    "cold": 0.25,
    "sequential": 50 * US,
    "submitted": 100 * US,
    "mapped": 100 * US,
    "streamed": 100 * US,
    "async": 100 * US,
    "flow-runs": 1 * MS,
    "subflow-runs": 1 * MS,
    "prints": 20 * US,  # over bare; 0.2 s per 10 000
    "masked": 25 * US,  # over bare; as prints, and 5 µs a line to look for the secrets
}

Counts = dict[str, int]


def tasks(n: int) -> Counts:
    return {"flow runs": 1, "task runs": n}


@dataclass(frozen=True)
class Workload:
    """`record` says how many rows of each kind one call of the script's `main(n)` adds.

    A `whole` workload is timed from the start of its process to the end; without the product it is an empty program.
    """

    name: str
    title: str
    script: str
    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    beside: int  # the size that peers are given too
    record: Callable[[int], Counts] = field(default=tasks)
    unit: str = "task"
    served: int = 1_000_000  # no larger with a server
    over_bare: bool = False
    whole: bool = False

    @property
    def budget(self) -> float:
        return BUDGETS[self.name]


WORKLOADS = (
    Workload(
        "import", "import of the front door", "front_door.py", (1,), (1,), 1,
        lambda n: {}, "import", over_bare=True, whole=True,
    ),
    Workload(
        "cold", "cold script, a flow and a task", "hello.py", (1,), (1,), 1,
        lambda n: {"flow runs": 1, "task runs": 1, "greetings": 1}, "script", whole=True,
    ),
    Workload("sequential", "tasks in sequence", "sequential.py", (1_000, 100_000, 1_000_000), (1_000, 20_000), 1_000),
    Workload("submitted", "tasks submitted", "submitted.py", (10_000,), (2_000,), 1_000),
    Workload("mapped", "tasks mapped", "mapped.py", (10_000,), (2_000,), 1_000),
    Workload(
        "streamed", "tasks mapped as a stream, in chunks", "streamed.py", (10_000, 100_000, 1_000_000), (2_000,), 1_000,
        served=100_000,
    ),
    Workload("async", "async tasks, gathered", "gathered.py", (10_000,), (2_000,), 1_000),
    Workload("flow-runs", "flow runs", "flow_runs.py", (1_000,), (200,), 100, lambda n: {"flow runs": n}, "flow run"),
    Workload(
        "subflow-runs", "subflow runs", "subflow_runs.py", (1_000,), (200,), 100,
        lambda n: {"flow runs": n + 1, "subflow runs": n}, "flow run",
    ),
    Workload(
        "prints", "prints captured", "prints.py", (10_000,), (2_000,), 1_000,
        lambda n: {"flow runs": 1, "lines": n}, "print", over_bare=True,
    ),
    Workload(
        "masked", "prints captured, 100 secrets known", "masked.py", (10_000,), (2_000,), 1_000,
        lambda n: {"flow runs": 1, "lines": n}, "print", over_bare=True,
    ),
)  # fmt: skip
NAMES = tuple(workload.name for workload in WORKLOADS)


def expected(workload: Workload, n: int) -> Counts:
    """What the record must hold: the call on the clock and, if there is one, the call of one before it."""
    record = dict(workload.record(n))
    if not workload.whole:
        for kind, rows in workload.record(1).items():
            record[kind] += rows
    return record
