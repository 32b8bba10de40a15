"""`penstock server database`: keep the record that the settings name. No server need run, and none is in the way."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli import shown
from penstock.cli.output import JSON, output_option, print_json, remark
from penstock.domain.errors import ConfigurationError, CorruptStoreError, SchemaVersionError
from penstock.settings import current

if TYPE_CHECKING:
    from penstock.store.contract import Store
    from penstock.store.sqlite import SqliteStore


# What can be pruned, and what a person calls it.
_PRUNED = {
    "flow_runs": "flow run", "task_runs": "task run", "log_lines": "log line", "events": "event",
    "artifacts": "artifact", "audit_entries": "audit log line", "cached": "expired cached result",
}  # fmt: skip


@click.group()
def database() -> None:
    """Keep the record: upgrade, back up, check."""


@database.command()
@click.option("--dry-run", is_flag=True, help="Only print the SQL that would be run.")
def upgrade(dry_run: bool) -> None:
    """Bring the record's tables to the version that this Penstock knows.

    Whatever opens a record does so, too; this is for doing it at a time of your own.
    """
    from penstock.store import migrate

    with _opened(upgrade=False) as store:
        with store.read() as tx:
            pending = migrate.pending(tx, store.dialect)
        if not pending:
            click.echo(f"The record is at version {migrate.NEWEST}, the newest that this Penstock knows.")
            return
        if dry_run:
            for script in pending:
                click.echo(f"-- {script.name}")
                click.echo("".join(f"{statement};\n" for statement in script.statements))
            return
    with _opened(upgrade=True):
        click.echo(f"Upgraded the record to version {migrate.NEWEST}: {', '.join(each.name for each in pending)}.")


@database.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Copy the record to a new FILE while it is in use.

    To restore: stop what uses the record, and put FILE in its place, without the files beside it that end in -wal and
    -shm. Back up secret.key of PENSTOCK_HOME as well, elsewhere: without it, secrets cannot be read.
    """
    from penstock.store import upkeep

    with _opened(upgrade=False) as store:
        size = upkeep.backup(_sqlite(store, "backup", file), file.absolute())
    click.echo(f"Copied the record to {file} ({size:,} bytes).")


@database.command()
def check() -> None:
    """Look whether the record is whole, and of the version that this Penstock knows."""
    from penstock.store import migrate, upkeep

    with _opened(upgrade=False) as store:
        with store.read() as tx:
            version = migrate.current(tx, store.dialect)
        if store.dialect == "sqlite":
            problems = upkeep.problems(_sqlite(store, "check"))
            if problems:
                raise CorruptStoreError(
                    f"The record is damaged: {'; '.join(problems)}. Restore a backup, or save what can be read: "
                    f"`sqlite3 {current().database_path} .recover`."
                )
        else:
            remark("Of a PostgreSQL database the version is looked at; whether it is whole, its own pg_amcheck says.")
        if version < migrate.NEWEST:
            raise SchemaVersionError(
                f"The record is at version {version}, and this Penstock knows {migrate.NEWEST}. Upgrade it: `penstock "
                "server database upgrade`."
            )
    click.echo(f"The record is whole, and at version {version}.")


@database.command()
def vacuum() -> None:
    """Give back the space of what was deleted. Whoever writes waits meanwhile."""
    from penstock.store import upkeep

    with _opened(upgrade=False) as store:
        before, after = upkeep.vacuum(_sqlite(store, "vacuum"))
    click.echo(f"The record had {before:,} bytes, and has {after:,}.")


@database.command()
@click.option("--dry-run", is_flag=True, help="Only count what would be deleted.")
@output_option
def prune(dry_run: bool, output: str) -> None:
    """Delete what is older than PENSTOCK_RETENTION_… say: runs, log lines, events, artifacts, the audit log.

    Runs that are pinned (keep) or have not ended stay. A server, and embedded programs, do so by themselves.
    """
    from penstock.domain.retention import Ages
    from penstock.services import retention

    ages = Ages.of(current())
    with _opened(upgrade=False) as store:
        run = retention.count if dry_run else retention.prune
        pruned = run(store, datetime.now(UTC), ages)
    if output == JSON:
        print_json(pruned)
        return
    parts = [shown.count_of(count, noun) for name, noun in _PRUNED.items() if (count := getattr(pruned, name))]
    said = ", ".join(parts) or "nothing"
    click.echo(f"{'Would delete' if dry_run else 'Deleted'} {said}.")


@contextmanager
def _opened(*, upgrade: bool) -> Iterator[Store]:
    from penstock.store.opening import open_store

    settings = current()
    if settings.database_url is None and not upgrade and not settings.database_path.exists():
        raise ConfigurationError(f"There is no record {settings.database_path} yet; the first run makes it.")
    address = settings.database_url or settings.database_path
    spool, direct = settings.home / "spool", settings.database_direct_url
    store = open_store(address, spool_folder=spool, upgrade=upgrade, direct=direct)
    try:
        yield store
    finally:
        store.close()


def _sqlite(store: Store, what: str, file: Path | None = None) -> SqliteStore:
    """The store, if it is in a file; PostgreSQL has tools of its own, and the error names the command."""
    from penstock.store.sqlite import SqliteStore

    if isinstance(store, SqliteStore):
        return store
    url = _without_password(current().database_url or "")
    if what == "backup":
        command = f"pg_dump --format=custom --file={shlex.quote(str(file))} {shlex.quote(url)}"
    else:
        command = f"psql {shlex.quote(url)} -c 'VACUUM (ANALYZE)'"
    raise ConfigurationError(f"The record is in PostgreSQL, which has a tool for this: {command}")


def _without_password(url: str) -> str:
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0].partition(":")[0]
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{user}@{host}" if user else host
    return urlunsplit(("postgresql", netloc, parts.path, parts.query, ""))
