"""Without a server, programs delete what is old: at their end, and not each of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from penstock.domain.states import make
from penstock.engine.clock import SYSTEM
from penstock.settings import current, refresh
from penstock.store import flow_runs, retention
from penstock.store.sqlite import SqliteStore

from ..store.kit import flow_run
from .kit import Programs, Record

HELLO = """
    from penstock import flow

    @flow
    def hello():
        pass

    hello()
"""


def keep_old(name: str, days: float) -> None:
    at = SYSTEM.now() - timedelta(days=days)
    store = SqliteStore(current().database_path)
    run = flow_run("Pending", "Running", "Completed", name=name, created=at)
    run.states = tuple(make(state.name, at) for state in run.states)
    with store.write() as tx:
        flow_runs.put(tx, run)
        retention.set_mark(tx, retention.PRUNED, 0)
    store.close()


@pytest.mark.slow
def test_a_program_deletes_what_is_old_and_the_next_one_does_not_look(programs: Programs, record: Record) -> None:
    keep_old("old", 91)
    keep_old("younger", 89)
    assert programs.run(HELLO).code == 0
    assert {run.name for run in record.flow_runs("etl")} == {"younger"}

    keep_old("old", 91)
    store = SqliteStore(current().database_path)
    with store.write() as tx:
        retention.set_mark(tx, retention.PRUNED, round(SYSTEM.now().timestamp() * 1e6))
    store.close()
    assert programs.run(HELLO).code == 0
    assert {run.name for run in record.flow_runs("etl")} == {"old", "younger"}


@pytest.mark.slow
def test_a_program_that_is_told_to_keep_everything_does(
    programs: Programs, record: Record, penstock_home: Path
) -> None:
    refresh()
    keep_old("old", 91)
    assert programs.run(HELLO, PENSTOCK_RETENTION_RUNS_DAYS="").code == 0
    assert {run.name for run in record.flow_runs("etl")} == {"old"}


def test_a_new_record_is_not_looked_through(record: Record) -> None:
    store = SqliteStore(current().database_path)
    with store.read() as tx:
        assert not retention.is_due(tx, SYSTEM.now())
    store.close()
