"""Tables, fields and JSON: whole in a pipe, readable in a terminal, never driving it."""

from __future__ import annotations

import io
import json
import uuid
from pathlib import Path

import pytest

from penstock.cli.output import print_fields, print_json, print_table

ID = str(uuid.UUID(int=7))


def test_a_table_in_a_pipe_is_plain_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["ID", "Name"], [[ID, "n" * 300], ["short", None]])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{'ID':<36}  Name", f"{ID}  {'n' * 300}", "short"]


def test_a_table_without_rows_has_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["ID", "Name"], [])
    assert capsys.readouterr().out == "ID  Name\n"


class Terminal(io.StringIO):
    """A screen that remembers."""

    def isatty(self) -> bool:
        return True


def shown_in(columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of a table in a terminal so wide."""
    screen = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", screen)
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("LINES", "40")  # of a dumb terminal, rich believes only both
        patch.setenv("TERM", "dumb")
        print_table(["ID", "Name", "State"], [[ID, "[red]" + "x" * 50, "✓ Completed"]])
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def test_a_table_in_a_terminal_fits_and_never_breaks_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = shown_in(120, monkeypatch)
    assert wide[3] == f"│ {ID} │ [red]{'x' * 34}… │ ✓ Completed │"
    narrow = shown_in(70, monkeypatch)
    assert narrow[1] == f"{ID}  [red]{'x' * 13}…  ✓ Completed"
    assert shown_in(40, monkeypatch) == [ID, f"  [red]{'x' * 32}…", "  ✓ Completed"]
    assert shown_in(20, monkeypatch) == [ID, f"  [red]{'x' * 12}…", "  ✓ Completed"]


def test_control_characters_never_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["A"], [["a\x1b[2Jb\nc"]])
    print_fields({"Name": "a\x1b[2Jb\nc"})
    assert capsys.readouterr().out == "A\na [2Jb c\nName:  a [2Jb c\n"


def test_json_takes_what_programs_need(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"path": Path("/x"), "id": uuid.UUID(int=7), "text": "é"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"path": "/x", "id": ID, "text": "é"}
    assert out.startswith('{\n  "path"')


def test_json_never_drives_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": "a\x9b2J\x7f\x85é✓", "\x90": 1})
    out = capsys.readouterr().out
    assert json.loads(out) == {"text": "a\x9b2J\x7f\x85é✓", "\x90": 1}
    assert "a\\u009b2J\\u007f\\u0085é✓" in out
    assert "\x90" not in out
