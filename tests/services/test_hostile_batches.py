"""Batches that no engine makes: refused by themselves, and in nobody's way."""

from __future__ import annotations

import ast
import random
from typing import Any

import msgspec
import pytest

from penstock.domain.caching import CacheEntry
from penstock.domain.errors import RecordError
from penstock.domain.runs import STATES_KEPT, Holder, ResultRef, TaskRun
from penstock.domain.states import make
from penstock.protocol.journal import Batch, Fact, batch_in, batch_of, encoded
from penstock.services import journal
from penstock.store import task_runs
from penstock.store.contract import Store

from ..store.kit import SOURCE, at, task_run

FAR = Holder("far-away", "boot", 7, "1")
UNSAFE = {"pickle", "cloudpickle", "marshal", "shelve", "dill"}
# More than fits into one entry of any index, and not to be made shorter.
LONG = random.Random(1).randbytes(50_000).hex()


def batch(*facts: Fact) -> Batch:
    return batch_in(encoded(batch_of(FAR, facts)))


def recorded(store: Store, run: TaskRun) -> bool:
    with store.read() as tx:
        return task_runs.get(tx, run.id) is not None


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(CacheEntry(LONG, task_run().id, ResultRef("json"), at(0), None), id="too long for an index"),
        pytest.param(task_run(run_count=2**63), id="a number beyond 64 bits"),
        pytest.param(task_run(result=ResultRef("json", size=2**64 - 1)), id="a size beyond 64 bits"),
    ],
)
def test_what_the_database_cannot_hold_is_no_fault_of_the_database(store: Store, bad: Any) -> None:
    """A record that is away is waited for: its sender, and everybody whose batch came at the same time, would wait
    for ever."""
    good = task_run("Pending", "Running")
    answers = journal.take(store, [batch(bad), batch(good)], lambda: at(1))
    assert not isinstance(answers[0], RecordError)
    assert not isinstance(answers[1], BaseException)
    assert recorded(store, good)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"states": ()}, "has 0"),
        ({"states": (make("Running", at(0)),) * (STATES_KEPT + 1)}, f"has {STATES_KEPT + 1}"),
        ({"version": -1}, "-1"),
        # (With it, streams say that a run was deleted.)
        ({"version": 2**32 - 1}, "4,294,967,295"),
    ],
)
def test_a_run_that_no_engine_reports_is_not_taken(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        batch(task_run(**{"version": 1} | fields))


@pytest.mark.parametrize("room", ["api", "server", "services", "store", "protocol", "domain"])
def test_what_a_server_runs_cannot_unpickle(room: str) -> None:
    """Whoever may send a result or arguments could run code in it."""
    imported = set()
    for file in (SOURCE / "penstock" / room).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    assert imported
    assert not {name for name in imported if name.partition(".")[0] in UNSAFE}
