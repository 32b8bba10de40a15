"""`python -m benchmarks`: measures and prints the tables."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from . import report
from .measure import BARE, PENSTOCK, Bench, Row, check_values, prefect_at
from .workloads import NAMES, WORKLOADS, Workload

CALIBRATION = "calibration"
REPEAT = 3
HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures what Penstock costs. Exit code 1: a record is wrong. Slowness is reported, not failed.",
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME[:SIZE]", default=[], type=chosen,
        help=f"only these, and perhaps at this size: {', '.join((*NAMES, CALIBRATION))}",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--repeat", type=int, default=REPEAT, metavar="N", help=f"samples of each, default {REPEAT}")
    parser.add_argument("--prefect", metavar="PYTHON", help="an interpreter that has prefect, to measure beside")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the page there too")
    return parser.parse_args()


def chosen(text: str) -> tuple[str, int | None]:
    name, _, size = text.partition(":")
    if name not in (*NAMES, CALIBRATION):
        raise argparse.ArgumentTypeError(f"there is no {name!r}")
    return name, int(size) if size else None


def sizes(workload: Workload, options: argparse.Namespace) -> list[int]:
    """What this session measures of a workload, smallest first."""
    asked = [size for name, size in options.only if name == workload.name]
    if options.only and not asked:
        return []
    if any(asked):
        return sorted({size for size in asked if size})
    beside = {workload.beside} if options.prefect else set()
    return sorted({*(workload.quick if options.quick else workload.sizes), *beside})


def told(options: argparse.Namespace) -> str:
    """The options that the numbers depend on, as one types them; where an interpreter is, is nobody's business."""
    only = " ".join(f"{name}:{size}" if size else name for name, size in options.only)
    words = {
        f" --only {only}": only,
        " --quick": options.quick,
        f" --repeat {options.repeat}": options.repeat != REPEAT,
        " --prefect PYTHON": options.prefect,
    }
    return "".join(word for word, given in words.items() if given)


def main() -> int:
    # Ended politely, it ends what it started, as with Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    prefect = prefect_at(options.prefect) if options.prefect else None
    rows: list[Row] = []
    calibration: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder), options.repeat, report.say)
        machine = report.facts(bench, prefect)
        bench.prepare([PENSTOCK, *([prefect] if prefect else [])])
        if not options.only or (CALIBRATION, None) in options.only:
            command = [sys.executable, str(HERE / "calibration.py")]
            calibration = [bench.ask(command, BARE) for _ in range(options.repeat)]
        for workload in WORKLOADS:
            for n in sizes(workload, options):
                compared = n == workload.beside or (workload.name, n) in options.only
                products = [BARE, PENSTOCK, *([prefect] if prefect and compared else [])]
                row = bench.row(workload, n, products)
                check_values(row)
                rows.append(row)
    page = report.page(machine, rows, calibration, told(options))
    print(page)
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(page)
    for trouble in report.troubles(rows):
        report.say(f"note: {trouble}")
    wrong = report.complaints(rows)
    for complaint in wrong:
        report.say(f"WRONG: {complaint}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
