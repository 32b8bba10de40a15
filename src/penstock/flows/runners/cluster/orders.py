"""What the flow's process and a host on the cluster say to each other, besides what a worker process says."""

from __future__ import annotations

import platform
import struct
from typing import NamedTuple

import msgspec

from .... import __version__

# From the flow's process: the code is to end now. From the host: its worker process is gone, and how; it was gone
# before it was given the call; it cannot do it.
KILL, GONE, AGAIN, UNFIT = b"K", b"G", b"B", b"U"
# A host's first words: these, the flow's token, the number of its lease, whether it is on the flow's machine. It is
# answered by one byte.
HELLO = struct.Struct(">8s32sQ?")
MAGIC = b"penstock"
WELCOME, UNKNOWN = b"+", b"-"
# A value of more bytes stays on the cluster until somebody asks for it.
LARGEST_SENT = 1 << 16


class Trouble(NamedTuple):
    """Why nothing will come, or has come, of a lease, in words. `is_loss`: what was there is gone, by no fault of the
    call's."""

    text: str
    is_loss: bool


class Machine(msgspec.Struct, frozen=True):
    """A machine, since it was started."""

    host: str
    boot: str


class Lease(msgspec.Struct):
    """A place on the cluster for calls of one flow run; the host that has it dials `home`, and is told the calls there.
    `penstock` and `python` are the versions that the flow's process has."""

    home: tuple[str, int]
    token: bytes
    number: int
    machine: Machine
    penstock: str = __version__
    python: str = ".".join(platform.python_version_tuple()[:2])


decode = msgspec.msgpack.Decoder(Lease).decode
