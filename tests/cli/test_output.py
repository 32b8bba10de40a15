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


def test_a_table_in_a_narrow_terminal_keeps_every_character(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "dumb")
    print_table(["ID", "Name"], [[ID, "[red]x[/red]"]])
    text = screen.getvalue()
    rows = [line.split("│") for line in text.splitlines() if line.startswith("│")]
    assert "".join(row[1].strip() for row in rows) == ID
    assert "".join(row[2].strip() for row in rows) == "[red]x[/red]"
    assert "…" not in text


def test_control_characters_never_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["A"], [["a\x1b[2Jb\nc"]])
    print_fields({"Name": "a\x1b[2Jb\nc"})
    assert capsys.readouterr().out == "A\na [2Jb c\nName:  a [2Jb c\n"


def test_json_takes_what_programs_need(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"path": Path("/x"), "id": uuid.UUID(int=7), "text": "é"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"path": "/x", "id": ID, "text": "é"}
    assert out.startswith('{\n  "path"')
