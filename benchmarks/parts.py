"""What is in the way of the budgets that are missed: the same work with less of it, and which threads it keeps busy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from statistics import median

from .measure import Bench, Row, check_values
from .products import BARE, PENSTOCK
from .report import quantity, spread, table
from .workloads import WORKLOADS

SIZES = {"sequential": 20_000, "submitted": 10_000, "mapped": 10_000}
QUICK_SIZE = 1_000
LESS = {
    "as shipped": {},
    "lines not shown": {"PENSTOCK_LOGGING_TO_CONSOLE": "false"},
    "no lines": {"PENSTOCK_LOGGING_LEVEL": "WARNING"},
}
WAYS = [replace(PENSTOCK, name=name, settings=settings) for name, settings in LESS.items()]

NOTES = """\
Embedded. As shipped a task run writes two lines, which are kept and shown. `calling thread` and `other threads` are
seconds of a processor for a task: who calls, and who records (and, of `submitted` and `mapped`, the workers). What they
are more than `each` together is what two threads did at the same time: one has the interpreter while SQLite works for
the other."""


IN_THE_WAY = """\
Tasks in sequence keep two threads busy, the caller's and the one that records, which share one interpreter. Samples of
the code that holds its lock (`py-spy --gil`, 60,000 tasks) are spread thin, and no function has more than 6 %: the run,
its id and its states 20 %, the recording thread 20 %, what makes code stoppable (scopes, frames, a thread's floor)
14 %, the copy that outlives `kill -9` (of four facts: two states, two lines) 14 %, arguments and value 7 %, the
terminal 7 %, lines of the log 5 %. What is saved without lines, or without showing them, is in the table.

Submitted and mapped tasks do the same work and are handed to worker threads: the caller, the workers and the recorder
take turns with one interpreter, and each turn is waited for. So their cost is the sum of the last two columns, or more.
Where tasks compute, processes (`ProcessPoolTaskRunner`) have interpreters of their own.

A served flow run is two questions (may it begin, how did it end): two requests, each with a transaction that is on the
disk before it is answered, because the record must be true before the flow's code runs and before its caller goes on.
They are 15 statements, which PostgreSQL is asked one after the other. Tasks have none of that: they are reported in
batches, while the program goes on."""


def measure(bench: Bench, quick: bool) -> list[Row]:
    rows = []
    for workload in WORKLOADS:
        if workload.name in SIZES:
            row = bench.row(workload, QUICK_SIZE if quick else SIZES[workload.name], [BARE, *WAYS])
            check_values(row)
            rows.append(row)
    return rows


def parts_table(rows: Iterable[Row]) -> str:
    lines = []
    for row in rows:
        for way in WAYS:
            good = row.good(way.name)
            if good:
                threads = (
                    quantity(median(getattr(sample, which) for sample in good) / row.n)
                    for which in ("here", "elsewhere")
                )
                lines.append((f"`{row.workload.name}`", f"{row.n:,}", way.name, spread(row.each(way.name)), *threads))
    return table(("work", "n", "lines", "each", "calling thread", "other threads"), lines)
