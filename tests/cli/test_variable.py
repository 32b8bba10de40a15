"""`penstock variable`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from penstock.variables import Variable

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("typed", "value", "printed"),
    [
        ("hello", "hello", "hello"),
        ("5", 5, "5"),
        ('"5"', "5", "5"),
        ("1.5", 1.5, "1.5"),
        ("true", True, "true"),
        ("null", None, "null"),
        ('{"a": [1, "ü"]}', {"a": [1, "ü"]}, '{"a": [1, "ü"]}'),
        ("NaN", "NaN", "NaN"),
        ("[NaN]", "[NaN]", "[NaN]"),
        ("", "", ""),
        ("two words", "two words", "two words"),
    ],
)
def test_a_value_is_json_or_else_text(run: Run, typed: str, value: Any, printed: str) -> None:
    assert run("variable", "set", "it", typed).stdout == "Set variable 'it'.\n"

    assert Variable.get("it", "no") == value
    assert type(Variable.get("it", "no")) is type(value)
    assert run("variable", "get", "it").stdout == f"{printed}\n"
    assert json.loads(run("variable", "get", "it", "-o", "json").stdout) == value


def test_a_negative_number_stands_behind_two_dashes(run: Run) -> None:
    assert run("variable", "set", "--", "it", "-5").exit_code == 0
    assert Variable.get("it") == -5


def test_a_variable_is_replaced_only_when_asked(run: Run) -> None:
    run("variable", "set", "it", "1", "--tag", "a", "--tag", "b")

    done = run("variable", "set", "it", "2")
    assert (done.exit_code, Variable.get("it")) == (1, 1)
    assert done.stderr == "Error: Variable 'it' already exists; overwrite=True (`--overwrite`) replaces it.\n"
    assert run("variable", "set", "it", "2", "--overwrite").exit_code == 0
    assert Variable.get("it") == 2


def test_ls_and_inspect(run: Run) -> None:
    assert run("variable", "ls").stderr.startswith("There are no variables yet. To set the first: `penstock variable")
    run("variable", "set", "b", "hello", "--tag", "x", "--tag", "y")
    run("variables", "set", "a", "[1, 2]")

    assert [line.split("  ")[0] for line in run("variables", "ls").stdout.splitlines()] == ["Name", "a", "b"]
    assert '"hello"  x, y' in run("variable", "ls").stdout
    listed = json.loads(run("variable", "ls", "-o", "json").stdout)
    assert [(each["name"], each["value"], each["tags"]) for each in listed] == [
        ("a", [1, 2], []),
        ("b", "hello", ["x", "y"]),
    ]
    assert [each["name"] for each in json.loads(run("variable", "ls", "--limit", "1", "-o", "json").stdout)] == ["a"]
    assert 'Value:     "hello"' in run("variable", "inspect", "b").stdout
    assert json.loads(run("variable", "inspect", "b", "-o", "json").stdout)["tags"] == ["x", "y"]


def test_unset(run: Run) -> None:
    for name in ("a", "b", "c"):
        Variable.set(name, 1)

    assert run("variable", "unset", "a", "nothing").exit_code == 1
    assert Variable.get("a") == 1
    assert run("variable", "unset", "a", "b").stdout == "Unset variable 'a'.\nUnset variable 'b'.\n"
    assert Variable.get("a") is None
    assert run("variable", "unset", "a", "--yes").exit_code == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("batch_sise", "Variable 'batch_sise' not found! Did you mean 'batch_size'?"),
        ("zzz", "Variable 'zzz' not found!\n"),
        ("Batch", "cannot be the name of a variable"),
        ("../x", "cannot be the name of a variable"),
        ("x" * 10_000, "cannot be the name of a variable"),
    ],
)
def test_what_is_not_there_is_told(run: Run, name: str, said: str) -> None:
    Variable.set("batch_size", 1)

    for command in ("get", "inspect", "unset"):
        done = run("variable", command, name)
        assert done.exit_code == 1
        assert said in done.stderr
        assert len(done.stderr) < 400


def test_values_cannot_drive_the_terminal(run: Run) -> None:
    Variable.set("it", "\x1b[2J\x07", tags=["a"])

    for command in (["ls"], ["inspect", "it"]):
        assert "\x1b" not in run("variable", *command).stdout
    assert run("variable", "get", "it").stdout == "\x1b[2J\x07\n"  # in a pipe: as it is


def test_what_is_too_long_is_told(run: Run) -> None:
    done = run("variable", "set", "it", "x" * 5000)
    assert done.exit_code == 1
    assert "5,000 is the most" in done.stderr
