"""`penstock config` and `penstock version`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from penstock.settings import SETTINGS

Run = Callable[..., Result]


def test_set_view_and_unset(run: Run) -> None:
    done = run("config", "set", "PENSTOCK_API_URL=http://h/api?a=b", "logging_level=debug")
    assert done.stdout == (
        "Set 'PENSTOCK_API_URL' to 'http://h/api?a=b'.\n"
        "Set 'PENSTOCK_LOGGING_LEVEL' to 'debug'.\n"
        "Updated profile 'default'.\n"
    )
    assert "PENSTOCK_LOGGING_LEVEL='DEBUG' (from profile 'default')\n" in run("config", "view").stdout
    assert "PENSTOCK_LOGGING_LEVEL='DEBUG'\n" in run("config", "view", "--hide-sources").stdout
    done = run("config", "unset", "PENSTOCK_LOGGING_LEVEL", "-y")
    assert done.stdout == "Unset 'PENSTOCK_LOGGING_LEVEL'.\nUpdated profile 'default'.\n"
    assert "PENSTOCK_LOGGING_LEVEL" not in run("config", "view").stdout


def test_secrets_are_covered_everywhere_but_where_asked(run: Run) -> None:
    assert run("config", "set", "PENSTOCK_API_KEY=hush").stdout.startswith("Set 'PENSTOCK_API_KEY' to '********'.")
    for covered in (["config", "view"], ["config", "view", "-o", "json"], ["profile", "inspect"]):
        assert "********" in run(*covered).stdout
        assert "hush" not in run(*covered).stdout
        assert "hush" in run(*covered, "--show-secrets").stdout


def test_view_for_programs_has_typed_values(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_LOG_PRINTS", "yes")
    monkeypatch.setenv("PENSTOCK_API_URL", "http://h/api")
    document = json.loads(run("config", "view", "--show-defaults", "--output", "json").stdout)
    assert (document["profile"], document["ui_url"]) == ("default", "http://h")
    rows = {row["name"]: row for row in document["settings"]}
    assert set(rows) == set(SETTINGS)
    assert rows["PENSTOCK_LOGGING_LOG_PRINTS"] == {
        "name": "PENSTOCK_LOGGING_LOG_PRINTS",
        "value": True,
        "source": "environment",
    }
    assert rows["PENSTOCK_API_KEY"]["value"] is None


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("PENSTOCK_API_ULR=x", "Unknown setting name 'PENSTOCK_API_ULR'. Did you mean 'PENSTOCK_API_URL'?"),
        ("PENSTOCK_API_URL", "Failed to parse argument 'PENSTOCK_API_URL'. Use the format 'NAME=VALUE'."),
        ("PENSTOCK_HOME=/x", "'PENSTOCK_HOME' cannot be changed with this command. Use an environment variable"),
        ("PENSTOCK_JOURNAL_LIMIT=0", "must be a whole number, 1 or more."),
    ],
)
def test_what_cannot_be_set_is_refused_and_nothing_is_written(
    run: Run, penstock_home: Path, argument: str, said: str
) -> None:
    done = run("config", "set", "PENSTOCK_LOGGING_LEVEL=DEBUG", argument)
    assert done.exit_code == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (penstock_home / "profiles.toml").exists()


def test_a_variable_that_hides_the_new_value_is_remarked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "ERROR")
    assert "will override your config value" in run("config", "set", "PENSTOCK_LOGGING_LEVEL=DEBUG").stderr
    assert "also set by an environment variable" in run("config", "unset", "PENSTOCK_LOGGING_LEVEL").stderr


def test_unset_of_what_is_not_set(run: Run) -> None:
    done = run("config", "unset", "PENSTOCK_API_URL")
    assert (done.exit_code, done.stderr) == (1, "Error: 'PENSTOCK_API_URL' is not set in profile 'default'.\n")


def test_validate_names_every_problem(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("config", "validate").stdout == "Configuration valid!\n"
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "LOUD")
    (folder / ".env").write_text("PENSTOCK_WRONG=1\n")
    monkeypatch.setenv("PENSTOCK_API_KEY", "renewed")
    done = run("config", "validate")
    assert (done.exit_code, done.stdout) == (1, "")
    assert [line[:7] for line in done.stderr.splitlines()] == ["Error: "] * 2


def test_version_for_people_and_programs(run: Run, penstock_home: Path) -> None:
    facts = json.loads(run("version", "-o", "json").stdout)
    assert facts["database_path"] == str(penstock_home / "penstock.db")
    assert facts["profile"] == "default"
    lines = run("version").stdout.splitlines()
    assert lines[0] == f"Version:         {facts['version']}"
    assert f"SQLite version:  {facts['sqlite_version']}" in lines
    assert run("--version").stdout == f"{facts['version']}\n"


def test_version_works_while_the_settings_are_broken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "LOUD")
    done = run("version")
    assert done.exit_code == 0
    assert "Problem:         PENSTOCK_LOGGING_LEVEL is 'LOUD'" in done.stdout
