"""What can be asked about a server itself."""

from __future__ import annotations

import msgspec

from ..domain.accounts import ADMIN
from .operation import Nothing, Operation


class Health(msgspec.Struct):
    """The process answers."""

    status: str = "ok"


class Ready(msgspec.Struct):
    """The record can be read, and is of the version that this server knows."""

    status: str
    schema: int


class Version(msgspec.Struct):
    """`protocol` is the number of what client and server say to each other, `schema` that of the record's tables."""

    version: str
    protocol: int
    schema: int


class ShownSetting(msgspec.Struct, frozen=True):
    """A setting of the process that answers. `value` is its text; of a secret only that there is one."""

    name: str
    value: str | None
    source: str


class ShownSettings(msgspec.Struct):
    settings: tuple[ShownSetting, ...]


READ_HEALTH = Operation("read_health", "GET", "/health", Nothing, Health, "Whether the server lives.", anyone=True)
READ_READY = Operation(
    "read_ready", "GET", "/ready", Nothing, Ready, "Whether the server can do its work.", anyone=True
)
READ_VERSION = Operation(
    "read_version", "GET", "/version", Nothing, Version, "The versions of server, protocol and record.", anyone=True
)
READ_SETTINGS = Operation(
    "read_settings", "GET", "/admin/settings", Nothing, ShownSettings,
    "The settings of the server, without what is secret.", role=ADMIN,
)  # fmt: skip
