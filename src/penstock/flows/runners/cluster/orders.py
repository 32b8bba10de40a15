"""What the flow's process and a host on the cluster say to each other, besides what a worker process says."""

from __future__ import annotations

import platform
import struct

import msgspec

from .... import __version__
from ..parcels import Job, Surroundings

# From the flow's process: the code is to end now. From the host: its worker process is gone, and how; it cannot do it.
KILL, GONE, UNFIT = b"K", b"G", b"U"
# A host's first words: these, the flow's token, the number of its order. It is answered by one byte.
HELLO = struct.Struct(">8s32sQ")
MAGIC = b"penstock"
WELCOME, UNKNOWN = b"+", b"-"
# A value of more bytes stays on the cluster until somebody asks for it.
LARGEST_SENT = 1 << 16


class Machine(msgspec.Struct, frozen=True):
    """A machine, since it was started."""

    host: str
    boot: str


class Order(msgspec.Struct):
    """A call of a task for a host. `surroundings` are for one on the same `machine`; `penstock` and `python` are the
    versions that the flow's process has."""

    home: tuple[str, int]
    token: bytes
    number: int
    job: Job
    machine: Machine
    surroundings: Surroundings
    penstock: str = __version__
    python: str = ".".join(platform.python_version_tuple()[:2])


decode = msgspec.msgpack.Decoder(Order).decode
