"""Answers about the server itself."""

from __future__ import annotations

from ...domain.errors import SchemaVersionError
from ...protocol import admin as asked
from ...protocol.operation import Nothing
from ...protocol.version import PROTOCOL
from ...store import migrate
from ..desk import Desk, answers


@answers(asked.READ_HEALTH)
def read_health(desk: Desk, query: Nothing) -> asked.Health:
    return asked.Health()


@answers(asked.READ_READY)
def read_ready(desk: Desk, query: Nothing) -> asked.Ready:
    with desk.store.read() as tx:
        schema = migrate.current(tx, desk.store.dialect)
    if schema != migrate.NEWEST:
        raise SchemaVersionError(
            f"The record's schema is {schema}, and this server knows {migrate.NEWEST}: another version of Penstock has "
            "changed it. Start this server again, or upgrade it."
        )
    return asked.Ready("ok", schema)


@answers(asked.READ_VERSION)
def read_version(desk: Desk, query: Nothing) -> asked.Version:
    return asked.Version(desk.version, PROTOCOL, migrate.NEWEST)


@answers(asked.READ_SETTINGS)
def read_settings(desk: Desk, query: Nothing) -> asked.ShownSettings:
    return asked.ShownSettings(desk.settings)
