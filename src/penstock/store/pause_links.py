"""SQL of the links by which people answer pauses."""

from __future__ import annotations

import msgspec

from ..domain.pause_links import PauseLink
from . import codec
from .contract import Tx

_decode = msgspec.json.Decoder(PauseLink).decode
_encode = msgspec.json.Encoder().encode


def put(tx: Tx, digest: bytes, link: PauseLink) -> None:
    tx.insert(
        "pause_link", ("digest", "flow_run_id", "data"),
        [(digest, link.flow_run_id.bytes, _encode(codec.all_writable(link)).decode())],
        "ON CONFLICT (digest) DO UPDATE SET data = excluded.data",
    )  # fmt: skip


def get(tx: Tx, digest: bytes) -> PauseLink | None:
    row = tx.row("SELECT data FROM pause_link WHERE digest = ?", (digest,))
    return None if row is None else _decode(row[0])
