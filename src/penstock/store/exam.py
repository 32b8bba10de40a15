"""The exam of a store: what `contract.Store` promises, as checks that any implementation can be put to.

Ours are, and so can be third parties': `for check in CHECKS: check(open_store)`, where `open_store()` opens the same,
at first empty, record each time it is called. A check raises AssertionError where a promise is broken.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from .contract import Store

Open = Callable[[], Store]
_COLUMNS = ("id", "name", "created")
_INSERT = "INSERT INTO flow (id, name, created) VALUES (?, ?, ?)"


class _Undo(Exception):
    pass


def _names(store: Store) -> list[str]:
    with store.read() as tx:
        return [str(name) for (name,) in tx.rows("SELECT name FROM flow ORDER BY name")]


def keeps_what_was_written(open_store: Open) -> None:
    """A committed transaction is there for whoever opens the record later."""
    first = open_store()
    with first.write() as tx:
        tx.run(_INSERT, (b"1" * 16, "kept", 1))
    first.close()
    assert "kept" in _names(open_store())


def undoes_what_raised(open_store: Open) -> None:
    """A block that raises has changed nothing, and the next one works."""
    store = open_store()
    with contextlib.suppress(_Undo), store.write() as tx:
        tx.run(_INSERT, (b"2" * 16, "undone", 1))
        raise _Undo
    assert "undone" not in _names(store)
    with store.write() as tx:
        tx.run(_INSERT, (b"3" * 16, "after", 1))
    assert "after" in _names(store)


def inserts_many_and_the_same_twice(open_store: Open) -> None:
    """Any number of rows arrives whole and in full; said twice, nothing changes."""
    store = open_store()
    for count in (0, 1, 5, 100, 1000):
        rows = [(f"{count:04d}{number:012d}".encode(), f"many-{count}-{number}", 1) for number in range(count)]
        for _ in range(2):
            with store.write() as tx:
                tx.insert("flow", _COLUMNS, rows, "ON CONFLICT DO NOTHING")
        with store.read() as tx:
            assert tx.row("SELECT count(*) FROM flow WHERE name LIKE ?", (f"many-{count}-%",)) == (count,)


def counts_changes(open_store: Open) -> None:
    """`run` gives how many rows changed; `row` gives None where there is none."""
    with open_store().write() as tx:
        tx.run(_INSERT, (b"4" * 16, "counted", 1))
        assert tx.run("UPDATE flow SET created = 2 WHERE name = ?", ("counted",)) == 1
        assert tx.run("UPDATE flow SET created = 2 WHERE name = ?", ("nobody",)) == 0
        assert tx.row("SELECT created FROM flow WHERE name = ?", ("nobody",)) is None


def lets_nobody_between_reading_and_writing(open_store: Open) -> None:
    """Two writers that read, add one and write back lose no addition."""
    with open_store().write() as tx:
        tx.run(_INSERT, (b"5" * 16, "counter", 0))

    def add() -> None:
        store = open_store()
        for _ in range(50):
            with store.write() as tx:
                row = tx.row("SELECT created FROM flow WHERE name = 'counter'")
                assert row is not None
                tx.run("UPDATE flow SET created = ? WHERE name = 'counter'", (row[0] + 1,))

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_store().read() as tx:
        assert tx.row("SELECT created FROM flow WHERE name = 'counter'") == (100,)


def reads_one_moment_and_does_not_wait(open_store: Open) -> None:
    """A reader inside a transaction does not see what is committed meanwhile, and is not kept waiting by a writer."""
    reader, writer = open_store(), open_store()
    with reader.read() as seen:
        before = seen.row("SELECT count(*) FROM flow")
        with writer.write() as tx:
            tx.run(_INSERT, (b"6" * 16, "meanwhile", 1))
            assert seen.row("SELECT count(*) FROM flow") == before
        assert seen.row("SELECT count(*) FROM flow") == before
    assert "meanwhile" in _names(reader)


def tells_of_changes_by_others(open_store: Open) -> None:
    """`changes()` differs after another one's transaction, and stays the same while nobody writes."""
    watcher, other = open_store(), open_store()
    seen = watcher.changes()
    assert watcher.changes() == seen
    with other.write() as tx:
        tx.run(_INSERT, (b"7" * 16, "noticed", 1))
    assert watcher.changes() != seen


CHECKS: tuple[Callable[[Open], None], ...] = (
    keeps_what_was_written,
    undoes_what_raised,
    inserts_many_and_the_same_twice,
    counts_changes,
    lets_nobody_between_reading_and_writing,
    reads_one_moment_and_does_not_wait,
    tells_of_changes_by_others,
)
