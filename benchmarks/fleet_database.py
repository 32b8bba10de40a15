"""What the database itself says of a fleet's record: connections, notifications, rows that went, bytes of each row."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta

from penstock.store.postgres_watch import CHANNEL

from . import server_data
from .server_place import Place
from .server_runs import now

# Longer than anything is kept.
OLD = timedelta(days=100)


def fill(place: Place, task_runs: int) -> int:
    """A record of so many task runs, all older than anything is kept; how many rows that is."""
    if not task_runs:
        return 0
    with place.open() as store:
        filled = server_data.fill(store, task_runs, now() - OLD)
    return filled.flow_runs + filled.task_runs + filled.lines


def connections(place: Place) -> int:
    """Of the servers to the database, as the database counts them."""
    if place.url is None:
        return 0
    import psycopg

    with psycopg.connect(place.url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND application_name <> 'ear'"
        ).fetchone()
    return int(row[0]) if row else 0


def deleted(place: Place) -> int:
    """Rows of runs and lines that were deleted so far, as the database counts them."""
    if place.url is None:
        return 0
    import psycopg

    with psycopg.connect(place.url, autocommit=True, application_name="ear") as connection:
        row = connection.execute(
            "SELECT sum(n_tup_del) FROM pg_stat_user_tables WHERE relname IN ('flow_run', 'task_run', 'log')"
        ).fetchone()
    return int(row[0] or 0) if row else 0


@contextlib.contextmanager
def ear(place: Place) -> Iterator[Callable[[], int]]:
    """Hears what servers tell one another by the database; how often, since it was asked last."""
    if place.url is None:
        yield lambda: 0
        return
    import psycopg

    with psycopg.connect(place.url, autocommit=True, application_name="ear") as connection:
        connection.execute(f"LISTEN {CHANNEL}".encode())
        yield lambda: sum(1 for _ in connection.notifies(timeout=0))


def sizes(place: Place) -> dict[str, list[int]]:
    """Of each table its rows and its bytes, with its indexes and what is stored aside; the largest first."""
    import psycopg

    assert place.url is not None
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        tables = connection.execute(
            "SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables WHERE schemaname = 'public'"
            " ORDER BY 2 DESC"
        ).fetchall()
        sizes = {}
        for name, size in tables:
            row = connection.execute(f'SELECT count(*) FROM "{name}"'.encode()).fetchone()
            sizes[str(name)] = [int(row[0]) if row else 0, int(size)]
    return sizes
