"""How soon a run that is to stop is recorded as stopped, and how soon its code is truly still.

`python -m benchmarks.stopping`: for kinds of code, ways to call it, and a timeout or a cancellation, each in a process
of its own with a fresh home, which is watched from outside. `stopping_code.py` has the code, `scripts/stopped.py` the
program that calls it, `stopping_watch.py` measures a cell, `stopping_report.py` has the targets. Needs Linux (pidfd).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import report, stopping_report
from .measure import PENSTOCK, PREFECT, Bench, Product, at
from .stopping_prefect import serving
from .stopping_report import Results
from .stopping_watch import CANCEL, TIMEOUT, Abilities, Cell, Stopper, cells

# It also fills the cache of bytecode, so that no cell pays for compiling what it imports.
ASK = """
import json
from contextlib import suppress
from penstock import task
from penstock.cli.flow_run import flow_run
has_numpy = has_isolation = False
with suppress(TypeError):
    has_isolation = task(isolation="process")(print) is not None
with suppress(ImportError):
    import numpy
    has_numpy = True
from importlib.util import find_spec
clusters = [way for way, package in {"dask": "distributed", "ray": "ray"}.items() if find_spec(package)]
print(json.dumps([has_isolation, "cancel" in flow_run.commands, has_numpy, clusters]))
"""

PREFECT_NOTES = """\
The same programs with the package's name swapped, with one server for all. A run's record is in the server's database
when another process can read it there. Cancelling is one cell, a task that sleeps, because it is left to workers, and a
script has none: the state is what the record says in the end."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stopping",
        description="Measures how runs stop. Exit code 1: a record is wrong. Slowness is reported, not failed.",
    )
    parser.add_argument(
        "--only", nargs="+", metavar="TEXT", default=[],
        help="only cells with all of this in their names, which are CODE / WAY / timeout or cancel",
    )  # fmt: skip
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="samples of each, default 1")
    parser.add_argument("--prefect", metavar="PYTHON", help="an interpreter that has prefect, to measure beside")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the page there too")
    return parser.parse_args()


def measure(stopper: Stopper, abilities: Abilities, chosen: Sequence[Cell], repeat: int) -> Results:
    """One cell after the other. A cell that cannot be measured has no outcomes."""
    results: Results = {}
    for number, cell in enumerate(chosen, 1):
        if not abilities.has(cell):
            results[cell] = []
            continue
        results[cell] = [stopper.measure(cell) for _ in range(repeat)]
        trouble = results[cell][-1].trouble
        shown = stopping_report.shown(results[cell]) + (f" ({trouble})" if trouble else "")
        report.say(f"{number}/{len(chosen)} {stopper.product.name} {cell}: {shown}")
    return results


def of_prefect(cell: Cell) -> bool:
    measured = cell.by == TIMEOUT or cell == Cell("sleep", "direct", CANCEL)
    return measured and cell.way not in ("isolated", "dask", "ray")


def told(options: argparse.Namespace) -> str:
    """The options that the numbers depend on, as one types them."""
    only = " ".join(f"'{text}'" if " " in text else text for text in options.only)
    words = {
        f" --only {only}": only,
        f" --repeat {options.repeat}": options.repeat != 1,
        " --prefect PYTHON": options.prefect,
    }
    return "".join(word for word, given in words.items() if given)


@contextlib.contextmanager
def session(repeat: int) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="stopping-", ignore_cleanup_errors=True) as folder:
        yield Bench(Path(folder), repeat, report.say)


def page(options: argparse.Namespace, machine: Sequence[str], abilities: Abilities, results: Results) -> list[str]:
    absent = stopping_report.absent(abilities.numpy, abilities.isolation, abilities.cancel)
    return [
        "# Stopping",
        f"Written by `python -m benchmarks.stopping{told(options)}`; edit `benchmarks/stopping_report.py` instead.",
        "\n".join(f"- {fact}" for fact in [*machine, *(f"Not measured: {note}" for note in absent)]),
        "## Penstock",
        stopping_report.INTRODUCTION,
        *stopping_report.tables(results),
        stopping_report.summary(results),
    ]


def beside(bench: Bench, product: Product, abilities: Abilities, chosen: Sequence[Cell], repeat: int) -> list[str]:
    with serving(bench, product) as stopper:
        can = Abilities(isolation=False, cancel=True, numpy=abilities.numpy)
        results = measure(stopper, can, [cell for cell in chosen if of_prefect(cell)], repeat)
    return ["## Prefect", PREFECT_NOTES, *stopping_report.tables(results)]


def main() -> int:
    # Ended politely, it ends what it started, as with Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not hasattr(os, "pidfd_open"):
        sys.exit("This needs Linux: it watches processes by pidfd.")
    options = arguments()
    prefect = at(PREFECT, options.prefect) if options.prefect else None
    chosen = [cell for cell in cells() if all(text in str(cell) for text in options.only)]
    if not chosen:
        sys.exit(f"There is no cell with {' and '.join(options.only)} in its name.")
    with session(options.repeat) as bench:
        machine = report.facts(bench, [prefect] if prefect is not None else [])
        abilities = Abilities(*bench.ask([PENSTOCK.python, "-c", ASK], PENSTOCK))
        results = measure(Stopper(bench), abilities, chosen, options.repeat)
        parts = page(options, machine, abilities, results)
        if prefect is not None:
            parts += beside(bench, prefect, abilities, chosen, options.repeat)
    text = "\n\n".join(parts) + "\n"
    print(text)
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(text)
    wrong = {cell: found for cell, outcomes in results.items() if (found := stopping_report.mistakes(cell, outcomes))}
    for cell, found in wrong.items():
        report.say(f"WRONG: {cell}: {'; '.join(found)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
