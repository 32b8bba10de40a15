"""`python -m penstock.watchdog --enforce RUN_ID --database PATH` (or `--server URL`): waits until the run has ended or
the grace of the request to stop it has passed, and enforces the request then."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from .. import served
from ..domain.errors import RecordError
from ..domain.ids import parse_id
from ..engine import identity
from ..engine.clock import SYSTEM
from ..settings import current
from ..store.sqlite import SqliteStore
from .doors import Door, ServerDoor, StoreDoor
from .enforcement import enforce_in_time


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m penstock.watchdog", description=__doc__)
    parser.add_argument("--enforce", metavar="RUN_ID", required=True, type=parse_id)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--database", metavar="PATH", type=Path)
    where.add_argument("--server", metavar="URL")
    parser.add_argument("--grace", metavar="SECONDS", type=float, default=30.0, help="where the request says nothing")
    asked = parser.parse_args(arguments)
    # Its session has no terminal; but who ends "all Python programs" does not mean what ends them.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    door = _door(parser, asked)
    try:
        enforce_in_time(door, asked.enforce, now=SYSTEM.now, default_grace=asked.grace, lives=identity.lives)
    except RecordError as error:
        raise SystemExit(f"penstock: {error}") from None
    finally:
        door.close()


def _door(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> Door:
    if asked.server is not None:
        settings = current()
        spool = served.spool_folder(settings, asked.server)
        return ServerDoor(asked.server, settings.api_key, settings.api_auth_string, spool)
    if not asked.database.exists():
        parser.error(f"there is no record at {asked.database}")
    os.chdir("/") if asked.database.is_absolute() else None
    return StoreDoor(SqliteStore(asked.database))


if __name__ == "__main__":
    main()
