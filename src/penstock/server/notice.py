"""`server.json` in PENSTOCK_HOME: which process serves, and where, for `penstock server stop` and `status`.

A pid alone says nothing: with it goes the moment when the process started, in the system's own words.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from ..engine.identity import started

NAME = "server.json"


class Notice(msgspec.Struct, frozen=True):
    pid: int
    started: str
    url: str

    def lives(self) -> bool:
        """Whether that very process is there."""
        return started(self.pid) == self.started


def put(home: Path, url: str) -> Notice:
    """Says that this process serves at `url`."""
    notice = Notice(os.getpid(), started(os.getpid()) or "", url)
    draft = home / f".{NAME}.{os.getpid()}"
    draft.write_bytes(msgspec.json.encode(notice))
    draft.chmod(0o600)
    draft.replace(home / NAME)
    return notice


def find(home: Path) -> Notice | None:
    """The server that said so last; None when there is none, or what there is cannot be read."""
    try:
        return msgspec.json.decode((home / NAME).read_bytes(), type=Notice)
    except (OSError, ValueError):
        return None


def take_away(home: Path, notice: Notice) -> None:
    """Unless another server has put its own there."""
    if find(home) == notice:
        with contextlib.suppress(OSError):
            (home / NAME).unlink()
