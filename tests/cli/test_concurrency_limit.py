"""`penstock concurrency-limit`, under all its names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import connect
from penstock.concurrency import concurrency

from .conftest import Run


@pytest.fixture(autouse=True)
def disconnected(folder: Path) -> Iterator[None]:
    yield
    connect.disconnect()


def table(run: Run) -> dict[str, dict[str, object]]:
    return {each["name"]: each for each in json.loads(run("concurrency-limit", "ls", "--output", "json").stdout)}


def test_limits_are_made_listed_changed_and_deleted(run: Run) -> None:
    assert run("concurrency-limit", "create", "db", "--limit", "3").stdout == (
        "Created concurrency limit 'db' with 3 slots.\n"
    )
    run("gcl", "create", "s3://x", "--tag", "-l", "1")
    run("global-concurrency-limit", "create", "api", "--limit", "10", "--slot-decay-per-second", "2.5", "--disable")
    assert list(table(run)) == ["api", "db", "tag:s3://x"]
    assert table(run)["api"]["slot_decay_per_second"] == 2.5
    assert table(run)["api"]["active"] is False
    assert run("gcl", "update", "db", "--limit", "5").exit_code == 0
    assert run("gcl", "enable", "api").stdout == "Enabled concurrency limit 'api'.\n"
    assert run("gcl", "disable", "--tag", "s3://x").stdout == "Disabled concurrency limit 'tag:s3://x'.\n"
    assert (table(run)["db"]["limit"], table(run)["api"]["active"], table(run)["tag:s3://x"]["active"]) == (
        5,
        True,
        False,
    )
    assert run("gcl", "delete", "db", "tag:s3://x", "--yes").exit_code == 0
    assert list(table(run)) == ["api"]
    shown = run("gcl", "ls").stdout
    assert "2.5" in shown
    assert "api" in shown


def test_inspect_shows_who_holds_and_reset_frees(run: Run) -> None:
    run("gcl", "create", "db", "--limit", "1")
    with concurrency("db"):
        shown = run("gcl", "inspect", "db").stdout
        assert "In use:             1" in shown
        assert "Holding slots" in shown
        assert run("gcl", "reset", "db", "--yes").exit_code == 0
        assert json.loads(run("gcl", "inspect", "db", "-o", "json").stdout)["active_slots"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("inspect", "nothing"), "Concurrency limit 'nothing' not found!"),
        (("create", "db"), "Missing option '--limit'"),
        (("create", "db", "2"), "a tag of task runs (--tag --limit 2), or the name of a limit (--limit 2)"),
        (("create", "a\nb", "--limit", "1"), "cannot be the name of a concurrency limit"),
        (("update", "db"), "Say what to change"),
        (("create", "db", "--limit", "-1"), "-1 is not in the range"),
    ],
)
def test_what_cannot_be_is_told(run: Run, arguments: tuple[str, ...], said: str) -> None:
    ended = run("gcl", *arguments)
    assert ended.exit_code != 0
    assert said in ended.output


def test_an_empty_list_says_how_to_make_the_first(run: Run) -> None:
    assert "penstock concurrency-limit create NAME --limit N" in run("concurrency-limits", "ls").output
