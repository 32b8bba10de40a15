"""`penstock profile`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

Run = Callable[..., Result]


def test_create_use_rename_and_delete(run: Run) -> None:
    run("config", "set", "PENSTOCK_LOGGING_LEVEL=ERROR")
    created = run("profile", "create", "new", "--from", "default").stdout
    assert created.startswith("Created profile with properties:\n    name - 'new'\n    from name - 'default'\n")
    assert "penstock profile use 'new'" in created
    assert run("profile", "use", "new").stdout == "Profile 'new' is now active.\n"
    assert run("profile", "ls").stdout == "  default\n* new\n"
    assert json.loads(run("profile", "ls", "-o", "json").stdout) == [
        {"name": "default", "active": False},
        {"name": "new", "active": True},
    ]
    assert run("profile", "rename", "new", "newer").stdout == "Renamed profile 'new' to 'newer'.\n"
    assert run("profile", "delete", "newer").exit_code == 1
    assert run("profile", "delete", "default").stdout == "Removed profile 'default'.\n"
    assert run("profile", "ls").stdout == "* newer\n"


def test_inspect(run: Run) -> None:
    assert (
        run("profile", "inspect").stdout == "No name provided, defaulting to 'default'\nProfile 'default' is empty.\n"
    )
    run("config", "set", "PENSTOCK_LOGGING_LEVEL=ERROR")
    assert run("profile", "inspect", "default").stdout == "PENSTOCK_LOGGING_LEVEL='ERROR'\n"
    assert json.loads(run("profile", "inspect", "-o", "json").stdout) == {"PENSTOCK_LOGGING_LEVEL": "ERROR"}


@pytest.mark.parametrize("verb", ["use", "delete", "inspect"])
def test_a_profile_that_is_not_there(run: Run, verb: str) -> None:
    done = run("profile", verb, "ghost")
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "Error: Profile 'ghost' not found.\n")


def test_a_variable_that_chooses_another_profile_is_remarked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("profile", "create", "a")
    run("profile", "create", "b")
    monkeypatch.setenv("PENSTOCK_PROFILE", "a")
    assert "PENSTOCK_PROFILE chooses 'a'" in run("profile", "use", "b").stderr
    assert "You must update this variable to 'c'" in run("profile", "rename", "a", "c").stderr
