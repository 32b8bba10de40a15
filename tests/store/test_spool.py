"""Lines that the record does not have yet outlive their process, and nothing else is left of them."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.logs import LogLine
from penstock.domain.runs import Holder
from penstock.store import spool
from penstock.store.spool import MOST, TURN, Spool

RUN = UUID(int=7)
ME = Holder("here", "boot", 4711, "123", "ns")


def line(number: int, message: str = "message") -> LogLine:
    return LogLine(RUN, None, number, datetime(2026, 1, 1, tzinfo=UTC), 20, message, "logger", "file.py", 3, "f")


def made(folder: Path) -> Spool:
    return Spool(folder, lambda: ME)


def found(folder: Path) -> list[Any]:
    """What somebody else finds, in order."""
    assert all(each.holder == ME for each in spool.left(folder))
    return sorted(
        (each for left in spool.left(folder) for each in spool.facts_of(left.path)), key=lambda each: each.seq
    )


def test_what_was_added_is_found_by_another_while_it_is_not_recorded(tmp_path: Path) -> None:
    mine = made(tmp_path / "spool")
    lines = [line(number, f"ünï 🤗 {number}\n") for number in range(100)]
    for each in lines:
        assert mine.add(each)
    assert found(tmp_path / "spool") == lines
    mine.recorded(100)
    mine.close()


def test_its_files_are_for_its_owner_only(tmp_path: Path) -> None:
    mine = made(tmp_path / "spool")
    mine.add(line(0))
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    (file,) = (tmp_path / "spool").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    mine.recorded(1)
    mine.close()


def test_nothing_is_left_when_all_is_recorded(tmp_path: Path) -> None:
    mine = made(tmp_path / "spool")
    mine.add(line(0))
    mine.recorded(1)
    mine.close()
    assert not (tmp_path / "spool").exists()


def test_what_is_not_recorded_when_it_is_closed_stays(tmp_path: Path) -> None:
    mine = made(tmp_path / "spool")
    for number in range(3):
        mine.add(line(number))
    mine.recorded(2)
    mine.close()
    assert line(2) in found(tmp_path / "spool")


def test_a_million_lines_take_the_room_of_those_that_wait(tmp_path: Path) -> None:
    mine = made(tmp_path / "spool")
    waiting = 0
    for number in range(100_000):
        mine.add(line(number, "x" * 100))
        waiting += 1
        if waiting == 700:
            mine.recorded(500)
            waiting = 200
    assert sum(file.stat().st_size for file in (tmp_path / "spool").iterdir()) <= 8 * TURN
    assert {each.seq for each in found(tmp_path / "spool")} >= set(range(100_000 - waiting, 100_000))
    mine.recorded(waiting)
    mine.close()


def test_a_line_of_any_size_has_room_up_to_a_bound(tmp_path: Path) -> None:
    mine = made(tmp_path / "spool")
    assert mine.add(line(0, "x" * 5_000_000))
    assert not mine.add(line(1, "y" * MOST))
    assert mine.add(line(2, "z"))
    assert [each.seq for each in found(tmp_path / "spool")] == [0, 2]
    mine.recorded(3)
    mine.close()
    assert not (tmp_path / "spool").exists()


@given(st.lists(st.one_of(st.none(), st.integers(1, 5000)), max_size=200))
def test_whatever_is_added_and_recorded_in_turn_what_waits_is_there(steps: list[int | None]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        folder, added, recorded = Path(home) / "spool", 0, 0
        mine = made(folder)
        for step in steps:
            if step is None:
                mine.recorded(added - recorded)
                recorded = added
            else:
                assert mine.add(line(added, "x" * step * 20))
                added += 1
        assert {each.seq for each in found(folder)} >= set(range(recorded, added))
        mine.recorded(added - recorded)
        mine.close()
        assert not folder.exists()


@pytest.mark.needs("true")
def test_a_forked_child_has_a_spool_of_its_own(tmp_path: Path) -> None:
    mine = made(tmp_path / "spool")
    mine.add(line(0, "parent's"))
    pid = os.fork()
    if pid == 0:
        mine.add(line(1, "child's"))
        os._exit(0)
    os.waitpid(pid, 0)
    mine.add(line(2, "parent's"))
    per_file = [
        [getattr(each, "message", None) for each in spool.facts_of(left.path)]
        for left in spool.left(tmp_path / "spool")
    ]
    assert sorted(per_file) == [["child's"], ["parent's", "parent's"]]
    mine.recorded(2)
    mine.close()


def test_a_spool_that_somebody_took_is_made_anew(tmp_path: Path) -> None:
    mine = made(tmp_path / "spool")
    mine.add(line(0))
    mine.recorded(1)
    shutil.rmtree(tmp_path / "spool")
    mine.add(line(1))
    assert found(tmp_path / "spool") == [line(1)]
    mine.recorded(1)
    mine.close()
    assert not (tmp_path / "spool").exists()


def test_text_that_cannot_be_written_is_kept_as_the_record_has_it(tmp_path: Path) -> None:
    mine = made(tmp_path / "spool")
    assert mine.add(msgspec.structs.replace(line(0), file="caf\udce9.py"))
    assert found(tmp_path / "spool") == [msgspec.structs.replace(line(0), file="caf?.py")]


def test_where_it_cannot_be_written_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    mine = made(tmp_path / "spool")
    assert not mine.add(line(0))
    assert not mine.add(line(1))
    mine.recorded(2)
    mine.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"PENSPOOL", b"PENSPOOL" + b"\xff" * 5000, b"\0" * 10_000, os.urandom(100_000), b"PENSPOOL" + b"\0" * 9000],
    ids=["empty", "short", "high", "zero", "random", "no-holder"],
)
def test_a_file_that_is_none_of_ours_is_no_spool(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "stranger").write_bytes(content)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "nobody writes here")
    (tmp_path / "endless").symlink_to("/dev/zero")
    assert spool.left(tmp_path) == []
    assert spool.facts_of(tmp_path / "stranger") == []


def test_of_a_damaged_spool_the_lines_before_the_damage_are_had(tmp_path: Path) -> None:
    mine = made(tmp_path / "spool")
    for number in range(10):
        mine.add(line(number, "x" * 1000))
    (path,) = (tmp_path / "spool").iterdir()
    data = bytearray(path.read_bytes())
    data[4096 + 5 * 1000 : 4096 + 5 * 1000 + 64] = b"\xff" * 64
    (tmp_path / "damaged").write_bytes(data)
    assert [getattr(each, "seq", None) for each in spool.facts_of(tmp_path / "damaged")] == [0, 1, 2, 3]
    mine.recorded(10)
    mine.close()
