"""From the address of a record to the store that it is in.

Law: no error has a password in it, and nothing of an address that could not be read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..domain.errors import ConfigurationError
from .contract import Store
from .sqlite import SqliteStore

_FORMS = "sqlite:////folder/penstock.db or postgresql://user:password@host:5432/database"
# `postgresql+asyncpg`: the driver, which others need to know
_POSTGRES, _SQLITE = ("postgresql", "postgres"), "sqlite"


def open_store(
    address: str | Path, *, spool_folder: Path, now: Callable[[], float] = time.time, upgrade: bool = True,
    direct: str | None = None,
) -> Store:  # fmt: skip
    """The record at an address: a file's path, `sqlite:///…`, `postgresql://…` or `postgres://…`.

    A driver in the scheme (`postgresql+asyncpg://`, `sqlite+aiosqlite://`) is left out. `spool_folder` is the folder
    of this machine for a record that is on no machine's disk (see `contract.Store`); one in a file has its own. With
    `upgrade` False the tables are left as they are. `direct` is where a PostgreSQL database is itself, when `address`
    is that of a pooler before it.

    Raises `ConfigurationError` for an address that cannot be used, `RecordError` when what is there cannot be.

    Example::

        store = open_store("postgresql://penstock:secret@db/penstock", spool_folder=home / "spool")
    """
    if isinstance(address, Path):
        return SqliteStore(address, now=now, upgrade=upgrade)
    scheme, mark, rest = address.strip().partition("://")
    kind = scheme.lower().partition("+")[0]
    if not mark:
        raise ConfigurationError(f"The record's address is not a URL. Write {_FORMS}.")
    if kind == _SQLITE:
        return SqliteStore(_file(rest), now=now, upgrade=upgrade)
    if kind in _POSTGRES:
        return _postgres(f"postgresql://{rest}", spool_folder, now, upgrade, direct)
    raise ConfigurationError(f"There are no records in databases of the kind {kind[:30]!r}. Write {_FORMS}.")


def is_postgres(address: str | Path) -> bool:
    """Whether the record at this address is in PostgreSQL, by its looks."""
    kind = str(address).strip().partition("://")[0].lower().partition("+")[0]
    return not isinstance(address, Path) and kind in _POSTGRES


def file_at(address: str) -> Path | None:
    """The file of the record at this address; None for one that is in no file. Raises `ConfigurationError`."""
    if is_postgres(address):
        return None
    scheme, _, rest = address.strip().partition("://")
    if scheme.lower().partition("+")[0] != _SQLITE:
        raise ConfigurationError(f"The record's address cannot be used. Write {_FORMS}.")
    return _file(rest)


def _file(rest: str) -> Path:
    """`/relative.db`, `//absolute.db`; what follows a `?` are settings of other programs' drivers."""
    try:
        parts = urlsplit(f"sqlite://{rest}")
    except ValueError:
        raise ConfigurationError(f"The record's address cannot be read. Write {_FORMS}.") from None
    path = unquote(parts.path)[1:]
    if parts.netloc or not path or path == ":memory:" or "\0" in path:
        raise ConfigurationError(
            "An SQLite record is in a file: write sqlite:////folder/penstock.db (four slashes before an absolute "
            "path), or sqlite:///penstock.db for one in the folder of the process."
        )
    return Path(path).expanduser()


def _postgres(
    url: str, spool_folder: Path, now: Callable[[], float], upgrade: bool, direct: str | None
) -> Store:  # fmt: skip
    if find_spec("psycopg") is None:
        raise ConfigurationError("Records in PostgreSQL need a package more: pip install 'penstock[postgres]'.")
    from .postgres import PostgresStore

    if direct is not None:
        scheme, mark, rest = direct.strip().partition("://")
        if not mark or scheme.lower().partition("+")[0] not in _POSTGRES:
            raise ConfigurationError(
                "PENSTOCK_DATABASE_DIRECT_URL is not a URL of a PostgreSQL database: postgresql://user:password@host:5432"
                "/database."
            )
        direct = f"postgresql://{rest}"
    return PostgresStore(url, spool_folder=spool_folder, now=now, upgrade=upgrade, direct=direct)
