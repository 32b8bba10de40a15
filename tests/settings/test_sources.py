"""Where values come from: precedence, labels, paths, derived values, and errors that name the place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from penstock.domain.errors import ConfigurationError
from penstock.settings import (
    PENSTOCK_API_URL,
    PENSTOCK_FLOWS_DEFAULT_RETRIES,
    PENSTOCK_HOME,
    PENSTOCK_LOGGING_LEVEL,
    PENSTOCK_TASKS_DEFAULT_RETRIES,
    PENSTOCK_UI_URL,
    current,
    refresh,
    temporary_settings,
)
from penstock.settings.current import find_problems
from penstock.settings.table import suggestion

# Lowest first; the number each place sets is its index.
PLACES = ["profile", "pyproject", "project", "dotenv", "environment", "override"]


def say(place: str, value: int, folder: Path, profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "PENSTOCK_TASKS_DEFAULT_RETRIES"
    match place:
        case "profile":
            profiles.write_text(f'active = "mine"\n[profiles.mine]\n{name} = "{value}"\n')
        case "pyproject":
            (folder / "pyproject.toml").write_text(f"[tool.penstock.tasks]\ndefault_retries = {value}\n")
        case "project":
            (folder / "penstock.toml").write_text(f"[tasks.default]\nretries = {value}\n")
        case "dotenv":
            (folder / ".env").write_text(f"OTHER=1\nexport {name}='{value}'  # ours\n")
        case "environment":
            monkeypatch.setenv(name, str(value))


@given(said=st.sets(st.sampled_from(PLACES)))
@hypothesis_settings(max_examples=64, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_highest_place_that_says_something_wins(
    said: set[str], folder: Path, penstock_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = tmp_path_factory.mktemp("case")
    profiles = here / "profiles.toml"
    labels = {
        "profile": "profile 'mine'",
        "pyproject": str(here / "pyproject.toml"),
        "project": str(here / "penstock.toml"),
        "dotenv": str(here / ".env"),
        "environment": "environment",
        "override": "temporary_settings",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("PENSTOCK_PROFILES_PATH", str(profiles))
        for place in said:
            say(place, PLACES.index(place), here, profiles, patch)
        overrides = {"tasks_default_retries": PLACES.index("override")} if "override" in said else {}
        with temporary_settings(overrides):
            winner = max(said, key=PLACES.index, default=None)
            assert PENSTOCK_TASKS_DEFAULT_RETRIES.value() == (PLACES.index(winner) if winner else 0)
            assert PENSTOCK_TASKS_DEFAULT_RETRIES.source() == (labels[winner] if winner else "default")


@pytest.mark.parametrize("line", ["logging_level", "PENSTOCK_LOGGING_LEVEL", "logging-level", "logging.level"])
def test_a_project_file_takes_long_short_and_nested_names(folder: Path, line: str) -> None:
    (folder / "penstock.toml").write_text(f'{line} = "debug"\n')
    assert PENSTOCK_LOGGING_LEVEL.value() == "DEBUG"


def test_toml_values_have_their_own_types(folder: Path) -> None:
    (folder / "penstock.toml").write_text(
        "[logging]\nlog_prints = true\nextra_loggers = ['a', 'b']\n[stop]\ngrace_seconds = 2\n"
    )
    settings = current()
    assert settings.logging_log_prints is True
    assert settings.logging_extra_loggers == ("a", "b")
    assert settings.stop_grace_seconds == 2.0
    assert type(settings.stop_grace_seconds) is float


def test_paths_follow_home_and_relative_ones_start_where_they_are_written(
    folder: Path, penstock_home: Path, profiles_file: Path
) -> None:
    profiles_file.write_text('[profiles.default]\nPENSTOCK_DATABASE_PATH = "data/p.db"\n')
    (folder / "penstock.toml").write_text('local_storage_path = "store"\n')
    settings = current()
    assert settings.home == penstock_home
    assert settings.database_path == penstock_home / "data/p.db"
    assert settings.local_storage_path == folder / "store"
    with temporary_settings({PENSTOCK_HOME: folder / "h", "local_storage_path": "$PENSTOCK_HOME/x"}) as inner:
        assert inner.database_path == folder / "h/penstock.db"
        assert inner.local_storage_path == folder / "h/x"


def test_the_default_home_is_in_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PENSTOCK_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert current().home == tmp_path / ".penstock"
    assert current().profiles_path == tmp_path / ".penstock/profiles.toml"


@pytest.mark.parametrize(
    ("api", "ui"),
    [("http://h:4200/api", "http://h:4200"), ("http://h/api/", "http://h"), ("http://h/v1", "http://h/v1"), ("", None)],
)
def test_the_ui_is_beside_the_api(monkeypatch: pytest.MonkeyPatch, api: str, ui: str | None) -> None:
    monkeypatch.setenv("PENSTOCK_API_URL", api)
    assert PENSTOCK_UI_URL.value() == ui
    assert PENSTOCK_UI_URL.source() == ("derived from PENSTOCK_API_URL" if ui else "default")
    monkeypatch.setenv("PENSTOCK_UI_URL", "https://ui")
    assert (PENSTOCK_UI_URL.value(), PENSTOCK_UI_URL.source()) == ("https://ui", "environment")
    monkeypatch.setenv("PENSTOCK_UI_URL", "")
    assert PENSTOCK_UI_URL.value() is None


def test_blank_text_means_none_where_none_is_allowed_and_elsewhere_not_set(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (folder / "penstock.toml").write_text('api_url = "http://h/api"\nlogging_level = "ERROR"\n')
    monkeypatch.setenv("PENSTOCK_API_URL", " ")
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "")
    assert (PENSTOCK_API_URL.value(), PENSTOCK_API_URL.source()) == (None, "environment")
    assert PENSTOCK_LOGGING_LEVEL.value() == "ERROR"


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (".env", "PENSTOCK_LOGING_LEVEL=DEBUG"),
        ("penstock.toml", '[loging]\nlevel = "DEBUG"'),
        ("penstock.toml", 'PENSTOCK_LOGGING_LEVL = "DEBUG"'),
        ("pyproject.toml", '[tool.penstock]\nlogging_levels = "DEBUG"'),
    ],
)
def test_an_unknown_name_in_a_file_is_an_error_with_a_suggestion(folder: Path, place: str, text: str) -> None:
    (folder / place).write_text(text)
    with pytest.raises(ConfigurationError, match=r"from .*Did you mean 'PENSTOCK_LOGGING_LEVEL'\?") as caught:
        current()
    assert str(folder / place) in str(caught.value)


def test_an_unknown_name_in_environment_or_profile_is_an_error(
    monkeypatch: pytest.MonkeyPatch, profiles_file: Path
) -> None:
    profiles_file.write_text('[profiles.default]\nPENSTOCK_ZZZZZZ = "1"\n')
    with pytest.raises(ConfigurationError, match=r"PENSTOCK_ZZZZZZ' \(from profile 'default'\).*config view"):
        current()
    monkeypatch.setenv("PENSTOCK_api_url", "http://h")
    with pytest.raises(ConfigurationError, match=r"from environment.*Did you mean 'PENSTOCK_API_URL'"):
        current()


def test_names_of_tests_and_internals_are_not_settings(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PENSTOCK_TEST_X", "1")
    monkeypatch.setenv("PENSTOCK_INTERNAL_DEBUG", "1")
    (folder / ".env").write_text("PENSTOCK_TEST_Y=1\n")
    assert current().api_url is None


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "inf"])
def test_a_refused_value_is_named_with_its_place_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("PENSTOCK_FLOWS_DEFAULT_RETRIES", value)
    with pytest.raises(ConfigurationError) as caught:
        PENSTOCK_FLOWS_DEFAULT_RETRIES.value()
    assert str(caught.value) == (
        f"PENSTOCK_FLOWS_DEFAULT_RETRIES is {value!r} (from environment), but must be a whole number, 0 or more."
    )


def test_a_refused_secret_is_not_shown(folder: Path) -> None:
    (folder / "penstock.toml").write_text("api_key = 12345\n")
    with pytest.raises(ConfigurationError) as caught:
        current()
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "content", "said"),
    [
        ("penstock.toml", b"a = 1\nb = = 2\n", "line 2"),
        ("penstock.toml", b"# ok\n\n# \xff\n", "line 3"),
        ("pyproject.toml", b"[tool.penstock\n", "line 1"),
        (".env", b"A=1\nPENSTOCK_API_URL\n", "line 2"),
        (".env", b"PENSTOCK_API_URL='http://x\n", "line 1"),
        (".env", b"\xff\nPENSTOCK_API_URL: http://x\n", "line 2"),
        (".env", b"A=1\r\nexport\tPENSTOCK_API URL=http://x\n", "line 2"),
        (".env", b"PENSTOCK_API_KEY='a'b\n", "line 1"),
        (".env", b'PENSTOCK_API_KEY="a" b\n', "line 1"),
        (".env", b"A=1\nPENSTOCK_API_KEY=a\xff\n", "line 2: the value of PENSTOCK_API_KEY is not UTF-8"),
    ],
)
def test_a_broken_file_is_named_with_the_line(folder: Path, place: str, content: bytes, said: str) -> None:
    (folder / place).write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        current()
    assert str(folder / place) in str(caught.value)
    assert said in str(caught.value)


def test_files_that_are_not_about_us_are_not_judged(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("this is = = not toml")
    (folder / ".env").write_bytes(b"OTHER = 'open\n\xff\xfe\njunk\n")
    assert current().api_url is None


def test_a_folder_called_dotenv_is_not_a_file(folder: Path) -> None:
    (folder / ".env").mkdir()
    assert current().api_url is None


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("PENSTOCK_API_KEY=plain", "plain"),
        ("export PENSTOCK_API_KEY = spaced ", "spaced"),
        ("PENSTOCK_API_KEY=a#b # note", "a#b"),
        ('PENSTOCK_API_KEY="a # \\"b\\"\\n$c" # note', 'a # "b"\n$c'),
        ("PENSTOCK_API_KEY='a \\n b'", "a \\n b"),
        ("PENSTOCK_API_KEY=one\nPENSTOCK_API_KEY=two", "two"),
        ("PENSTOCK_API_KEY= # none", None),
    ],
)
def test_lines_of_dotenv(folder: Path, line: str, value: str | None) -> None:
    (folder / ".env").write_text(f"# comment\n\n{line}\n")
    assert current().api_key == value


def test_a_setting_twice_in_one_file_is_an_error(folder: Path) -> None:
    (folder / "penstock.toml").write_text('logging_level = "INFO"\n[logging]\nlevel = "DEBUG"\n')
    with pytest.raises(ConfigurationError, match="PENSTOCK_LOGGING_LEVEL is set twice"):
        current()


def test_the_chosen_profile_must_exist(monkeypatch: pytest.MonkeyPatch, profiles_file: Path) -> None:
    monkeypatch.setenv("PENSTOCK_PROFILE", "ghost")
    with pytest.raises(ConfigurationError, match=r"'ghost' .chosen by PENSTOCK_PROFILE from environment. not found"):
        current()
    monkeypatch.setenv("PENSTOCK_PROFILE", "a")
    profiles_file.write_text('active = "b"\n[profiles.a]\nlogging_level = "ERROR"\n[profiles.b]\n')
    refresh()
    assert (current().active_profile, current().logging_level) == ("a", "ERROR")
    with temporary_settings({"profile": "b"}) as inner:
        assert (inner.active_profile, inner.logging_level) == ("b", "INFO")


def test_a_profile_cannot_move_itself(profiles_file: Path) -> None:
    profiles_file.write_text('[profiles.default]\nPENSTOCK_HOME = "/elsewhere"\n')
    with pytest.raises(ConfigurationError, match=r"PENSTOCK_HOME .*cannot be set in a profile"):
        current()


def test_all_problems_are_found_also_where_a_higher_place_hides_them(
    monkeypatch: pytest.MonkeyPatch, folder: Path, profiles_file: Path
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "INFO")
    monkeypatch.setenv("PENSTOCK_NOPE", "1")
    (folder / "penstock.toml").write_text('logging_level = "LOUD"\njournal_limit = 0\n')
    profiles_file.write_text('[profiles.default]\nPENSTOCK_STOP_GRACE_SECONDS = "-1"\n')
    told = [str(problem) for problem in find_problems()]
    assert len(told) == 4
    for part in ("PENSTOCK_NOPE", "'LOUD'", "PENSTOCK_JOURNAL_LIMIT", "profile 'default'"):
        assert sum(part in problem for problem in told) == 1


def test_a_deleted_working_directory_is_no_error(folder: Path, penstock_home: Path) -> None:
    os.rmdir(folder)
    assert current().home == penstock_home


def test_a_dotenv_that_is_not_utf8_is_read_all_the_same(folder: Path) -> None:
    (folder / ".env").write_bytes(b"\xef\xbb\xbf# caf\xe9\nOTHER=\xff\nPENSTOCK_API_KEY=k\xc3\xa9y\n")
    assert current().api_key == "k\u00e9y"


@pytest.mark.parametrize("name", ["PENSTOCK_FOO", "PENSTOCK_HTTP", "PENSTOCK_MODE"])
def test_only_what_is_near_is_suggested(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigurationError, match="config view --show-defaults") as caught:
        current()
    assert "Did you mean" not in str(caught.value)
    assert "'PENSTOCK_HOME'" in suggestion("hom")
    assert "Did you mean" not in suggestion("FOO")


MOVING = """
import os, sys
from penstock.settings import current
os.chdir(sys.argv[1])
print(current().home, current().database_path, current().local_storage_path, current().profiles_path, sep="\\n")
"""


def test_relative_paths_of_the_environment_stay_where_the_process_began(
    folder: Path, tmp_path: Path, penstock_home: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".env").write_text("PENSTOCK_LOCAL_STORAGE_PATH=here\n")
    variables = {"PENSTOCK_HOME": "home", "PENSTOCK_PROFILES_PATH": "~/p.toml", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", MOVING, str(elsewhere)],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, **variables},
    )
    assert done.stdout.splitlines() == [
        str(folder / "home"),
        str(folder / "home/penstock.db"),
        str(elsewhere / "here"),
        str(tmp_path / "p.toml"),
    ]
