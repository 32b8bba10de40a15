"""`python -m penstock.watchdog --enforce RUN_ID --database PATH`: waits until the run has ended or the grace of the
request to stop it has passed, and enforces the request then."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from ..domain.errors import RecordError
from ..domain.ids import parse_id
from ..engine import identity
from ..engine.clock import SYSTEM
from ..store.sqlite import SqliteStore
from .enforcement import enforce_in_time


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m penstock.watchdog", description=__doc__)
    parser.add_argument("--enforce", metavar="RUN_ID", required=True, type=parse_id)
    parser.add_argument("--database", metavar="PATH", required=True, type=Path)
    parser.add_argument("--grace", metavar="SECONDS", type=float, default=30.0, help="where the request says nothing")
    asked = parser.parse_args(arguments)
    # Its session has no terminal; but who ends "all Python programs" does not mean what ends them.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not asked.database.exists():
        parser.error(f"there is no record at {asked.database}")
    os.chdir("/") if asked.database.is_absolute() else None
    store = SqliteStore(asked.database)
    try:
        enforce_in_time(store, asked.enforce, now=SYSTEM.now, default_grace=asked.grace, lives=identity.lives)
    except RecordError as error:
        raise SystemExit(f"penstock: {error}") from None
    finally:
        store.close()


if __name__ == "__main__":
    main()
