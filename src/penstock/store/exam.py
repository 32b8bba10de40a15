"""The exam of a store: what `contract.Store` promises, as checks that any implementation can be put to.

Ours are, and so can be third parties': `for check in CHECKS: check(open_store)`, where `open_store()` opens the same,
at first empty, record each time it is called. A check raises AssertionError where a promise is broken.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from ..domain.errors import StoreUnavailableError
from .contract import Store, Value

Open = Callable[[], Store]
# Seconds that are enough for anything that is to happen soon.
PATIENCE = 20.0
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

    together = threading.Barrier(2)

    def add() -> None:
        store = open_store()
        together.wait()
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
    """`changes()` differs soon after another one's transaction, and stays the same while nobody writes."""
    watcher, other = open_store(), open_store()
    seen = watcher.changes()
    assert watcher.changes() == seen
    with other.write() as tx:
        tx.run(_INSERT, (b"7" * 16, "noticed", 1))
    assert watcher.wait_for_change(seen, PATIENCE) != seen
    assert watcher.changes() != seen


def tells_of_its_own_changes_at_once(open_store: Open) -> None:
    """`changes()` differs when `write` has ended, and a transaction that changed nothing is no change."""
    store = open_store()
    seen = store.changes()
    with store.write() as tx:
        tx.run(_INSERT, (b"8" * 16, "own", 1))
    now = store.changes()
    assert now != seen
    with store.write() as tx:
        tx.row("SELECT count(*) FROM flow")
    assert store.wait_for_change(now, 0.1) == now


def wakes_who_waits_for_a_change(open_store: Open) -> None:
    """`wait_for_change` returns when another one writes, at once when that was before, and in time when nobody does."""
    watcher, other = open_store(), open_store()
    seen, woken = watcher.changes(), []
    waiting = threading.Thread(target=lambda: woken.append(watcher.wait_for_change(seen, PATIENCE)))
    waiting.start()
    with other.write() as tx:
        tx.run(_INSERT, (b"9" * 16, "waking", 1))
    waiting.join()
    assert woken
    assert woken[0] != seen
    assert watcher.wait_for_change(seen, PATIENCE) == woken[0]
    assert watcher.wait_for_change(woken[0], 0.05) == woken[0]


def lets_one_lead(open_store: Open) -> None:
    """One of all has the lead of a name until it gives it up; other names are other leads."""
    one, other = open_store(), open_store()
    lead = one.try_lead("the loops")
    assert lead is not None
    assert lead.is_held()
    assert other.try_lead("the loops") is None
    assert one.try_lead("the loops") is None
    another = other.try_lead("other / loops")
    assert another is not None
    lead.close()
    lead.close()
    assert not lead.is_held()
    taken = other.try_lead("the loops")
    assert taken is not None
    assert taken.is_held()
    other.close()
    again = one.try_lead("the loops")
    assert again is not None, "who is closed leads no more"
    again.close()


def takes_rows_of_one_key_in_their_order(open_store: Open) -> None:
    """Rows of the same key, inserted at once, are as if they had come one after the other."""
    store = open_store()
    for count in (2, 3, 300):
        key = f"{count:016d}".encode()
        rows = [(key, f"turn-{count}", number) for number in (*range(count), 0)]
        others = [(f"{count:04d}{number:012d}".encode(), f"turn-{count}-{number}", 1) for number in range(1, count)]
        update = "ON CONFLICT (id) DO UPDATE SET created = excluded.created WHERE excluded.created > flow.created"
        with store.write() as tx:
            tx.insert("flow", _COLUMNS, [*rows, *others], update)
        with store.read() as tx:
            assert tx.row("SELECT created FROM flow WHERE id = ?", (key,)) == (count - 1,)


def keeps_any_value(open_store: Open) -> None:
    """Numbers of 64 bits, floats, bytes and None are read back as they were; text, but for what no database has."""
    store = open_store()
    values: list[tuple[Value, ...]] = [
        (-(2**63), 0.1, b"\0\xff", "é ☃ 𝄞"), (2**63 - 1, -1e300, b"", ""), (0, None, b"?", "'?' $1 %s \"?\""),
    ]  # fmt: skip
    with store.write() as tx:
        for number, (at, grace, id, who) in enumerate(values):
            sql = "INSERT INTO request (run_id, at, grace, flow_run_id, who, kind) VALUES (?, ?, ?, ?, ?, 'k')"
            assert tx.run(sql, (b"%d" % number, at, grace, id, who)) == 1
        columns = ("run_id", "at", "who", "kind")
        odd = [(b"odd", 1, "a\ud800b", "k"), (b"nul", 1, "a\0b", "k")]
        tx.insert("request", columns, odd, "ON CONFLICT DO NOTHING")
        tx.run("INSERT INTO request (run_id, at, who, kind) VALUES (?, ?, ?, 'k')", (b"o", 1, "half \udfff"))
        many = [(b"many-%d" % number, 1, "half \udfff", "k") for number in range(1000)]
        tx.insert("request", columns, many, "ON CONFLICT DO NOTHING")
    with store.read() as tx:
        for number, expected in enumerate(values):
            row = tx.row("SELECT at, grace, flow_run_id, who FROM request WHERE run_id = ?", (b"%d" % number,))
            assert row == expected, f"{row} for {expected}"
        assert tx.row("SELECT who FROM request WHERE run_id = ?", (b"odd",)) == ("a?b",)
        (said,) = tx.row("SELECT who FROM request WHERE run_id = ?", (b"nul",)) or ("",)
        assert said in ("a\0b", "a\ufffdb"), said
        assert tx.row("SELECT who FROM request WHERE who LIKE '%''?''%'") == (values[2][3],)
        totals = "SELECT sum(at), max(grace) IS NULL, 1 = 1 FROM request WHERE run_id IN (?, ?)"
        assert repr(tx.row(totals, (b"o", b"2"))) in ("(1, 1, 1)", "(1, True, True)")


def reads_long_answers_one_inside_the_other(open_store: Open) -> None:
    """Rows may be read while other statements of the transaction run; who stops early leaves the store usable."""
    store, count = open_store(), 2500
    rows = [(f"{number:016d}".encode(), f"long-{number:04d}", number) for number in range(count)]
    with store.write() as tx:
        tx.insert("flow", _COLUMNS, rows, "ON CONFLICT DO NOTHING")
    everything = "SELECT created FROM flow ORDER BY name"
    with store.read() as tx:
        outer = tx.rows(everything)
        assert next(outer) == (0,)
        assert tx.row("SELECT count(*) FROM flow") == (count,)
        inner = tx.rows(everything)
        assert [next(inner), next(outer), next(inner)] == [(0,), (1,), (1,)]
        assert [*outer] == [(number,) for number in range(2, count)]
        assert [*inner] == [(number,) for number in range(2, count)]
    with store.read() as tx:
        assert next(tx.rows(everything)) == (0,)
    with contextlib.suppress(_Undo), store.write() as tx:
        tx.run("DELETE FROM flow WHERE name = 'long-0001'")
        assert next(tx.rows(everything)) == (0,)
        raise _Undo
    with store.write() as tx:
        assert next(tx.rows(everything)) == (0,)
        assert tx.run("DELETE FROM flow WHERE name = 'long-0000'") == 1
    assert len(_names(store)) == count - 1


def compares_text_by_its_bytes(open_store: Open) -> None:
    """Text is in the order of its bytes, and only ASCII letters have a case."""
    store = open_store()
    names = ["É", "B", "a", "é", "Z", "-", "b"]
    with store.write() as tx:
        for number, name in enumerate(names):
            tx.run(_INSERT, (b"%d" % number, name, 1))
    assert _names(store) == sorted(names)
    with store.read() as tx:
        assert [*tx.rows("SELECT lower(name) FROM flow WHERE lower(name) LIKE 'b' ORDER BY name")] == [("b",), ("b",)]
        assert tx.row("SELECT count(*) FROM flow WHERE lower(name) = 'é'") == (1,)


def says_when_it_is_closed(open_store: Open) -> None:
    """Further use raises `StoreUnavailableError`; closing again does nothing."""
    store = open_store()
    seen = store.changes()
    store.close()
    store.close()
    uses: tuple[Callable[[], object], ...] = (
        lambda: store.write().__enter__(), lambda: store.read().__enter__(), store.changes,
        lambda: store.wait_for_change(seen, PATIENCE), lambda: store.try_lead("name"),
    )  # fmt: skip
    for use in uses:
        try:
            use()
        except StoreUnavailableError as error:
            assert "closed" in str(error)  # noqa: PT017 (the exam needs no pytest)
        else:
            raise AssertionError("a closed store was used")


CHECKS: tuple[Callable[[Open], None], ...] = (
    keeps_what_was_written,
    undoes_what_raised,
    inserts_many_and_the_same_twice,
    counts_changes,
    lets_nobody_between_reading_and_writing,
    reads_one_moment_and_does_not_wait,
    tells_of_changes_by_others,
    tells_of_its_own_changes_at_once,
    wakes_who_waits_for_a_change,
    lets_one_lead,
    takes_rows_of_one_key_in_their_order,
    keeps_any_value,
    reads_long_answers_one_inside_the_other,
    compares_text_by_its_bytes,
    says_when_it_is_closed,
)
