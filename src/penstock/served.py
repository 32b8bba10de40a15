"""How a program comes to report its runs to a server: from settings to the remote ledger, and what is to be shipped."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

import msgspec

from .domain.errors import PenstockError, RecordError, ServerRefusedError
from .domain.stops import Signal
from .engine import identity
from .engine.clock import SYSTEM
from .engine.masking import MASKER
from .ledger.heartbeat import SILENCE_SECONDS, Heartbeat
from .ledger.remote import RemoteLedger, ship_left
from .protocol.journal import MSGPACK, PATH
from .settings import Settings
from .transport import Lines, Transport

# While the server is away, what others left for it is tried again; soon, and then less often.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
_HEADERS = {"content-type": MSGPACK, "accept": MSGPACK}


def open_ledger(
    settings: Settings, transport: Transport, hear: Callable[[Signal], None], may_be_killed: bool
) -> RemoteLedger:
    """The ledger of a process that reports to a server; what processes that are gone have left for it is shipped."""

    post = _post_by(transport)

    def listen() -> AbstractContextManager[Lines]:
        holder = quote(msgspec.json.encode(identity.me()).decode(), safe="")
        return transport.stream(f"/signals?holder={holder}", silence=SILENCE_SECONDS)

    folder = spool_folder(settings, transport.url)
    ledger = RemoteLedger(
        post,
        url=transport.url,
        folder=folder,
        holder=identity.me,
        heartbeat=lambda renew: Heartbeat(renew, listen, hear),
        masker=MASKER,
        may_be_killed=may_be_killed,
        interval=settings.journal_interval_seconds,
        limit=settings.journal_limit,
        patience=settings.api_patience_seconds,
    )
    if folder.exists():
        threading.Thread(target=_ship, args=(post, folder), name="penstock-shipping", daemon=True).start()
    return ledger


def spool_folder(settings: Settings, url: str) -> Path:
    """Where facts wait for the server at this URL."""
    return settings.home / "spool" / re.sub(r"[^A-Za-z0-9.]+", "_", url.partition("://")[2])


def ship(settings: Settings, transport: Transport) -> None:
    """Ships what programs that are gone have left for the server, before somebody looks at it. Where that cannot be
    done, it stays."""
    with contextlib.suppress(PenstockError):
        ship_left(_post_by(transport), spool_folder(settings, transport.url), identity.lives, SYSTEM.now)


def _post_by(transport: Transport) -> Callable[[bytes], bytes]:
    return lambda body: transport.send("POST", PATH, body, _HEADERS)


def _ship(post: Callable[[bytes], bytes], folder: Path) -> None:
    pause = FIRST_PAUSE
    while True:
        try:
            ship_left(post, folder, identity.lives, SYSTEM.now)
            return
        except ServerRefusedError as error:
            print(f"penstock: what an earlier program reported cannot be shipped: {error}", file=sys.__stderr__)
            return
        except RecordError:
            threading.Event().wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
