"""`python -m benchmarks`: measures and prints the tables."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from . import clusters, page, parts, report
from .measure import Bench, check_values
from .page import Results
from .products import BARE, DASK, PENSTOCK, PREFECT, RAY, Product, at, dbos_on, served
from .server_place import POSTGRES, SQLITE, Databases
from .workloads import NAMES, WORKLOADS, Workload

CALIBRATION, CLUSTERS, PARTS = "calibration", "clusters", "parts"
OTHERS = (CALIBRATION, CLUSTERS, PARTS)
REPEAT = 3
HERE = Path(__file__).parent
PEERS = {"prefect": "prefect", "dbos": "dbos (and psycopg)", "dask": "distributed", "ray": "ray"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures what Penstock costs. Exit code 1: a record is wrong. Slowness is reported, not failed.",
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME[:SIZE]", default=[], type=chosen,
        help=f"only these, and perhaps at this size: {', '.join((*NAMES, *OTHERS))}",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--repeat", type=int, default=REPEAT, metavar="N", help=f"samples of each, default {REPEAT}")
    parser.add_argument(
        "--served", nargs="*", choices=(SQLITE, POSTGRES), help="with a server too, on these databases, default both"
    )
    for peer, package in PEERS.items():
        parser.add_argument(f"--{peer}", metavar="PYTHON", help=f"an interpreter that has {package}: measured beside")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the page there too")
    return parser.parse_args()


def chosen(text: str) -> tuple[str, int | None]:
    name, _, size = text.partition(":")
    if name not in (*NAMES, *OTHERS):
        raise argparse.ArgumentTypeError(f"there is no {name!r}")
    return name, int(size) if size else None


def peers(options: argparse.Namespace, databases: Databases) -> list[Product]:
    """Each with the interpreter that has it. DBOS is measured on the databases that ours is."""
    found = [at(PREFECT, options.prefect)] if options.prefect else []
    if options.dbos:
        kinds = [SQLITE, *(kind for kind in kinds_served(options) if kind != SQLITE)]
        found += [dbos_on(databases, kind, options.dbos) for kind in kinds]
    return found + [at(peer, python) for peer, python in ((DASK, options.dask), (RAY, options.ray)) if python]


def kinds_served(options: argparse.Namespace) -> list[str]:
    if options.served is None:
        return []
    return options.served or [SQLITE, POSTGRES]


def sizes(workload: Workload, options: argparse.Namespace, beside: bool) -> list[int]:
    """What this session measures of a workload, smallest first."""
    asked = [size for name, size in options.only if name == workload.name]
    if options.only and not asked:
        return []
    if any(asked):
        return sorted({size for size in asked if size})
    more = {workload.beside} if beside else set()
    return sorted({*(workload.quick if options.quick else workload.sizes), *more})


def taking_part(workload: Workload, n: int, compared: bool, results: Results) -> list[Product]:
    """Who is measured at this size: a peer only where it can bear it, and none at what it has no program for."""
    products = [BARE, PENSTOCK]
    if n <= workload.served:
        products += results.served
    if compared:
        products += results.peers
    return [product for product in products if workload.name not in product.lacks]


def told(options: argparse.Namespace) -> str:
    """The options that the numbers depend on, as one types them; where an interpreter is, is nobody's business."""
    only = " ".join(f"{name}:{size}" if size else name for name, size in options.only)
    words = {
        f" --only {only}": only,
        " --quick": options.quick,
        f" --repeat {options.repeat}": options.repeat != REPEAT,
        " ".join([" --served", *(options.served or [])]): options.served is not None,
        **{f" --{peer} PYTHON": getattr(options, peer) for peer in PEERS},
    }
    return "".join(word for word, given in words.items() if given)


def measure(options: argparse.Namespace, bench: Bench, databases: Databases) -> Results:
    ours = [served(databases, kind) for kind in kinds_served(options)]
    results = Results(told(options), served=ours, peers=peers(options, databases))
    results.machine = report.facts(bench, results.peers)
    if POSTGRES in kinds_served(options):
        results.machine += [f"PostgreSQL {databases.postgres_version()} with its own defaults"]
    bench.prepare([PENSTOCK, *results.served, *results.peers])
    if not options.only or (CALIBRATION, None) in options.only:
        command = [sys.executable, str(HERE / "calibration.py")]
        results.calibration = [bench.ask(command, BARE) for _ in range(options.repeat)]
    for workload in WORKLOADS:
        for n in sizes(workload, options, bool(results.peers)):
            compared = n == workload.beside or (workload.name, n) in options.only
            row = bench.row(workload, n, taking_part(workload, n, compared, results))
            check_values(row)
            results.rows.append(row)
    if not options.only or (PARTS, None) in options.only:
        results.parts = parts.measure(bench, options.quick)
    results.clusters = on_clusters(options, bench)
    return results


def on_clusters(options: argparse.Namespace, bench: Bench) -> list[clusters.Found]:
    asked = [size for name, size in options.only if name == CLUSTERS]
    if options.only and not asked:
        return []
    n = next(filter(None, asked), clusters.QUICK_SIZE if options.quick else clusters.SIZE)
    return [clusters.measure(bench, kind, n) for kind in clusters.PACKAGES if getattr(options, kind)]


def main() -> int:
    # Ended politely, it ends what it started, as with Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as folder,
        Databases(Path(folder)) as databases,
    ):
        results = measure(options, Bench(Path(folder), options.repeat, report.say), databases)
    text = page.page(results)
    print(text)
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(text)
    for trouble in page.troubles(results):
        report.say(f"note: {trouble}")
    wrong = page.complaints(results)
    for complaint in wrong:
        report.say(f"WRONG: {complaint}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
