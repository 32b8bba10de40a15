"""The memory that a program and its watchdog share."""

from __future__ import annotations

import subprocess
import sys
import threading

import msgspec
import pytest

from penstock.domain.stops import Stop, time_limit
from penstock.watchdog.beside import packed
from penstock.watchdog.table import FREE, LONGEST_STOP, NEVER, OPEN, PATHS, RECORDED, SLOTS, Table, View

from ..flows.kit import SOURCE

# Reads as fast as it can until it is told to stop; each entry must be of one piece.
READER = """
import os, select, sys
sys.path.insert(0, sys.argv[2])
from penstock.watchdog.table import View

view, seen, torn = View(int(sys.argv[1])), set(), 0
print("ready", flush=True)
while not select.select([0], [], [], 0)[0]:
    for entry in view.entries():
        number = int(entry.record_at)
        seen.add(number)
        whole = (
            entry.run_id == number.to_bytes(16, "big") and entry.kill_at == number + 1 and entry.due_at == number + 2
            and entry.stop == str(number).encode() * (number % 40) and entry.is_flow == bool(number % 2)
        )
        torn += not whole
print(len(seen), torn)
"""


def add(table: Table, number: int) -> int | None:
    stop = str(number).encode() * (number % 40)
    return table.add(number.to_bytes(16, "big"), bool(number % 2), 0, number, number + 1, number + 2, stop)


@pytest.fixture
def table():
    made = Table()
    yield made
    made.close()


def test_what_one_side_writes_the_other_reads(table: Table) -> None:
    view = View(table.fd)
    assert view.entries() == []
    slot = table.add(b"1" * 16, True, table.path_index(b"/a/b"), 1.5, NEVER, 0.5, b"{}", b"run")
    assert slot is not None
    (entry,) = view.entries()
    assert entry[2:] == (OPEN, True, 0, b"1" * 16, 1.5, NEVER, 0.5, b"{}", b"run")
    table.recorded(slot)
    assert [each.state for each in view.entries()] == [RECORDED]
    table.free(slot)
    assert view.entries() == []
    assert view.entry(slot) is None
    assert view.paths() == [b"/a/b"]


def test_a_slot_that_is_used_again_is_another_entry(table: Table) -> None:
    view = View(table.fd)
    first = add(table, 1)
    (before,) = view.entries()
    assert first is not None
    table.free(first)
    assert add(table, 2) == first
    (after,) = view.entries()
    assert after.serial != before.serial


def test_a_full_table_says_so_and_has_room_again_later(table: Table) -> None:
    slots = [add(table, number) for number in range(SLOTS)]
    assert None not in slots
    assert len(View(table.fd).entries()) == SLOTS
    assert add(table, 1) is None
    table.free(7)
    assert add(table, 1) == 7


def test_a_half_written_slot_is_not_believed(table: Table) -> None:
    """As when the program is killed in the middle, or the processor shows the state before the rest."""
    slot = add(table, 39)
    assert slot is not None
    view = View(table.fd)
    (entry,) = view.entries()
    raw = bytes(table._memory)
    table._memory[raw.index(entry.stop)] ^= 1
    assert view.entries() == []


def test_the_header_says_what_is_under_way(table: Table) -> None:
    view = View(table.fd)
    table.set_roots(3)
    table.begin_watch(12.5)
    assert (view.roots, table.watcher, table.wake_at) == (3, 0, 12.5)
    view.present(99)
    view.announce(NEVER)
    assert (table.watcher, table.wake_at) == (99, NEVER)


def test_few_databases_can_be_named(table: Table) -> None:
    names = [b"/%d" % number for number in range(PATHS)]
    assert [table.path_index(name) for name in names] == list(range(PATHS))
    assert [table.path_index(name) for name in names] == list(range(PATHS))
    assert table.path_index(b"/one more") is None
    assert View(table.fd).paths() == names


def test_the_table_of_a_parent_is_not_touched_any_more() -> None:
    table = Table()
    view = View(table.fd)
    slot = add(table, 1)
    assert slot is not None
    table.forget()
    table.free(slot)
    table.set_roots(9)
    assert len(view.entries()) == 1
    assert view.roots == 0
    assert table._memory[0] == FREE


def test_threads_that_write_while_another_process_reads_leave_no_torn_entry(table: Table) -> None:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(table.fd), str(SOURCE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[table.fd],
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    failed: list[BaseException] = []

    def write(first: int) -> None:
        try:
            held: list[int] = []
            for number in range(first, first + 5000):
                slot = add(table, number)
                assert slot is not None
                if number % 3 == 0:
                    table.recorded(slot)
                held.append(slot)
                if len(held) > 100:
                    table.free(held.pop(0))
            for slot in held:
                table.free(slot)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(1 + each * 10_000,)) for each in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said, _ = reader.communicate("stop\n")
    seen, torn = map(int, said.split())
    assert not failed
    assert torn == 0
    assert seen > 100, "the test must have something to look at"
    assert sorted(table._free) == list(range(SLOTS))


@pytest.mark.parametrize("text", ["short", "x" * 5000, "日本語" * 900, "\x00" * 900, "half \ud800" * 90])
def test_a_stop_is_cut_to_fit(text: str) -> None:
    raw = packed(Stop("cancel", text, text, 2.5))
    assert len(raw) <= LONGEST_STOP
    stop = msgspec.json.decode(raw, type=Stop)
    assert (stop.reason, stop.grace) == ("cancel", 2.5)
    assert stop.message[:4] == text[:4]


def test_a_stop_that_fits_is_not_changed() -> None:
    stop = time_limit("Flow run", 1.0, "a name")
    assert msgspec.json.decode(packed(stop), type=Stop) == stop
