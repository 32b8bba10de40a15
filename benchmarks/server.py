"""`python -m benchmarks.server`: what a server costs, and what it bears, on SQLite and on PostgreSQL.

Everything is measured in the run that prints it: servers are started as people start them, on fresh databases on this
machine's disk (PostgreSQL with its own defaults), and asked over HTTP. `server_place.py` has the databases and
servers, `server_clients.py` the processes that ask, `server_runs.py` what they report; each part is a file of its own.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import penstock

from . import (
    report,
    server_ingest,
    server_launching,
    server_load,
    server_pausing,
    server_queries,
    server_retention,
    server_start,
    server_streams,
    server_tasks,
)
from .server_place import POSTGRES, SQLITE, Databases
from .server_session import Session

PARTS = {
    "start": server_start.measure,
    "tasks": server_tasks.measure,
    "ingest": server_ingest.measure,
    "load": server_load.measure,
    "queries": server_queries.measure,
    "streams": server_streams.measure,
    "launching": server_launching.measure,
    "pausing": server_pausing.measure,
    "retention": server_retention.measure,
}
KINDS = {SQLITE: (SQLITE,), POSTGRES: (POSTGRES,), "both": (SQLITE, POSTGRES)}
MINUTES, QUICK_MINUTES = 10.0, 0.5
REPEAT, QUICK_REPEAT = 5, 1


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server",
        description="Measures a server. Exit code 1: a row is lost, or an answer is an error. Slowness is reported, "
        "not failed.",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--database", choices=KINDS, default="both", help="on which it is measured, default both")
    parser.add_argument(
        "--only", nargs="+", metavar="PART", default=[], choices=PARTS, help=f"only these parts: {', '.join(PARTS)}"
    )
    parser.add_argument(
        "--minutes", type=float, metavar="N",
        help=f"how long the load goes on, default {MINUTES:g} (with --quick {QUICK_MINUTES:g})",
    )  # fmt: skip
    parser.add_argument(
        "--repeat", type=int, metavar="N",
        help=f"samples of each workload of tasks, default {REPEAT} (with --quick {QUICK_REPEAT})",
    )  # fmt: skip
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the page there too")
    return parser.parse_args(given)


def told(options: argparse.Namespace) -> str:
    """The options that the numbers depend on, as one types them."""
    words = {
        " --quick": options.quick,
        f" --database {options.database}": options.database != "both",
        f" --only {' '.join(options.only)}": options.only,
        f" --minutes {options.minutes or 0:g}": options.minutes is not None,
        f" --repeat {options.repeat}": options.repeat is not None,
    }
    return "".join(word for word, given in words.items() if given)


def facts(session: Session) -> list[str]:
    """The machine, and the versions."""
    import apsw

    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, {platform.system()}"
    databases = [f"SQLite {apsw.sqlite_lib_version()}"] if SQLITE in session.kinds else []
    if POSTGRES in session.kinds:
        databases.append(f"PostgreSQL {session.databases.postgres_version()} with its own defaults")
    return [
        f"{datetime.now(UTC):%Y-%m-%d}; {machine}; load average {os.getloadavg()[0]:.1f} before the first measurement",
        f"Penstock {penstock.__version__} on Python {platform.python_version()} with {' and '.join(databases)}",
        "Servers, databases and those who ask them share the machine.",
    ]


def page(options: argparse.Namespace, session: Session) -> str:
    only = f": {', '.join(options.only)}" if options.only else ""
    parts = [
        f"# The server, measured{only}",
        f"Written by `python -m benchmarks.server{told(options)}`; edit `benchmarks/server_*.py` instead of this page.",
        "\n".join(f"- {fact}" for fact in facts(session)),
    ]
    for name, measure in PARTS.items():
        if not options.only or name in options.only:
            report.say(f"--- {name}")
            parts += measure(session)
    return "\n\n".join(parts) + "\n"


def main(given: Sequence[str] | None = None) -> int:
    # Ended politely, it ends what it started, as with Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments(given)
    minutes = options.minutes or (QUICK_MINUTES if options.quick else MINUTES)
    repeat = options.repeat or (QUICK_REPEAT if options.quick else REPEAT)
    with (
        tempfile.TemporaryDirectory(prefix="server-", ignore_cleanup_errors=True) as folder,
        Databases(Path(folder)) as databases,
    ):
        session = Session(databases, KINDS[options.database], options.quick, minutes, repeat)
        text = page(options, session)
    print(text)
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(text)
    for complaint in session.wrong:
        report.say(f"WRONG: {complaint}")
    return 1 if session.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
