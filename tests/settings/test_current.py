"""The settings of the moment: renewed when the world changes, cheap when it does not, overridden by context."""

from __future__ import annotations

import contextvars
import os
import pickle
import subprocess
import sys
import timeit
from pathlib import Path

import pytest

from penstock.domain.errors import ConfigurationError
from penstock.settings import (
    PENSTOCK_API_KEY,
    PENSTOCK_API_URL,
    PENSTOCK_FLOWS_DEFAULT_RETRIES,
    PENSTOCK_LOGGING_LEVEL,
    PENSTOCK_UI_URL,
    Settings,
    current,
    temporary_settings,
)
from penstock.settings.current import LOOK_EVERY_SECONDS, Watch


def test_the_same_object_is_given_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = current()
    assert current() is before
    monkeypatch.setenv("SOMEBODY_ELSES", "1")
    assert current() is before


def test_a_changed_variable_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for level in ("DEBUG", "ERROR"):
        monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", level)
        assert current().logging_level == level
    monkeypatch.delenv("PENSTOCK_LOGGING_LEVEL")
    assert current().logging_level == "INFO"


def test_a_changed_working_directory_is_seen_at_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "penstock.toml").write_text('logging_level = "ERROR"')
    assert current().logging_level == "INFO"
    monkeypatch.chdir(tmp_path)
    assert current().logging_level == "ERROR"
    monkeypatch.chdir(folder)
    assert current().logging_level == "INFO"


def test_files_are_looked_at_once_a_second(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    watch = Watch(clock=lambda: now[0])
    first = watch.snapshot()
    (folder / "penstock.toml").write_text('logging_level = "ERROR"')
    now[0] += LOOK_EVERY_SECONDS - 0.01
    assert watch.snapshot() is first
    now[0] += 0.01
    second = watch.snapshot()
    assert second is not first
    now[0] += LOOK_EVERY_SECONDS
    assert watch.snapshot() is second


def test_an_unchanged_file_is_not_parsed_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "penstock.toml").write_text('logging_level = "ERROR"')
    assert current().logging_level == "ERROR"
    monkeypatch.setattr("tomllib.loads", lambda text: pytest.fail("parsed again"))
    monkeypatch.setenv("PENSTOCK_API_KEY", "changed")
    assert current().logging_level == "ERROR"


def test_an_error_is_told_until_it_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "LOUD")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="LOUD"):
            current()
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "INFO")
    assert current().logging_level == "INFO"


def test_settings_cannot_be_changed_and_hide_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_API_KEY", "hush-hush")
    settings = current()
    with pytest.raises(AttributeError, match="temporary_settings"):
        settings.api_key = "x"
    with pytest.raises(AttributeError):
        del settings.api_key
    assert "hush" not in repr(settings)
    assert "hush" not in repr(PENSTOCK_API_KEY)


def test_settings_can_be_listed_and_asked_by_any_form_of_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "ERROR")
    settings = current()
    assert list(settings) == [name for name, _ in settings.items()]
    for form in (PENSTOCK_LOGGING_LEVEL, "PENSTOCK_LOGGING_LEVEL", "logging_level"):
        assert (settings.value(form), settings.source(form)) == ("ERROR", "environment")
    with pytest.raises(KeyError):
        settings.source("no_such")


def test_another_process_sees_the_same_values() -> None:
    overrides = {"api_url": "http://h/api", "flows_default_retries": 3, "logging_extra_loggers": ["a", "b"]}
    with temporary_settings({**overrides, "tasks_default_persist_result": None}) as settings:
        variables = settings.to_environment()
        copy: Settings = pickle.loads(pickle.dumps(settings))
    assert dict(copy.items()) == dict(settings.items())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        assert dict(current().items()) == dict(settings.items())


# --- temporary_settings ----------------------------------------------------------------------------------------------


def test_overrides_nest_and_end() -> None:
    with temporary_settings({PENSTOCK_API_URL: "http://one/api"}) as one:
        assert one is current()
        assert PENSTOCK_API_URL.source() == "temporary_settings"
        with temporary_settings({"logging.level": "debug", "PENSTOCK_API_URL": None}):
            assert (PENSTOCK_API_URL.value(), PENSTOCK_LOGGING_LEVEL.value()) == (None, "DEBUG")
        assert (PENSTOCK_API_URL.value(), PENSTOCK_LOGGING_LEVEL.value()) == ("http://one/api", "INFO")
        assert PENSTOCK_UI_URL.value() == "http://one"
    assert PENSTOCK_API_URL.value() is None


def test_prefects_own_example_of_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_API_URL", "http://environment/api")
    with temporary_settings({PENSTOCK_API_URL: "http://foo"}):
        with temporary_settings(set_defaults={PENSTOCK_API_URL: "http://bar"}):
            assert PENSTOCK_API_URL.value() == "http://foo"
        with temporary_settings(restore_defaults={PENSTOCK_API_URL}):
            assert PENSTOCK_API_URL.value() is None
            with temporary_settings(set_defaults={PENSTOCK_API_URL: "http://bar"}):
                assert PENSTOCK_API_URL.value() == "http://bar"
                with temporary_settings({PENSTOCK_API_URL: "http://in"}):
                    assert PENSTOCK_API_URL.value() == "http://in"
    assert PENSTOCK_API_URL.value() == "http://environment/api"


def test_defaults_do_not_win_over_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_FLOWS_DEFAULT_RETRIES", "2")
    with temporary_settings(set_defaults={PENSTOCK_FLOWS_DEFAULT_RETRIES: 5, PENSTOCK_LOGGING_LEVEL: "ERROR"}):
        assert (PENSTOCK_FLOWS_DEFAULT_RETRIES.value(), PENSTOCK_LOGGING_LEVEL.value()) == (2, "ERROR")


def test_the_world_is_still_watched_inside_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_settings({PENSTOCK_LOGGING_LEVEL: "ERROR"}):
        monkeypatch.setenv("PENSTOCK_API_KEY", "late")
        monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "DEBUG")
        assert (current().api_key, current().logging_level) == ("late", "ERROR")


@pytest.mark.parametrize(
    ("updates", "said"),
    [
        ({"PENSTOCK_API_ULR": "x"}, "Did you mean 'PENSTOCK_API_URL'"),
        ({PENSTOCK_LOGGING_LEVEL: "LOUD"}, "temporary_settings"),
        ({PENSTOCK_LOGGING_LEVEL: None}, "one of DEBUG"),
        ({PENSTOCK_FLOWS_DEFAULT_RETRIES: -1}, "whole number, 0 or more"),
    ],
)
def test_a_wrong_override_is_refused_where_it_is_written(updates: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said), temporary_settings(updates):
        pytest.fail("entered")
    assert current().logging_level == "INFO"


def test_overrides_follow_the_context_and_no_other() -> None:
    with temporary_settings({PENSTOCK_LOGGING_LEVEL: "ERROR"}):
        copied = contextvars.copy_context()
    assert copied.run(PENSTOCK_LOGGING_LEVEL.value) == "ERROR"
    assert contextvars.Context().run(PENSTOCK_LOGGING_LEVEL.value) == "INFO"


# --- cost ------------------------------------------------------------------------------------------------------------


def test_asking_costs_microseconds_in_a_large_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        monkeypatch.setenv(f"FILLER_{number}", str(number))
    current()
    best = min(timeit.repeat(current, number=1000, repeat=5)) / 1000
    assert best < 15e-6, f"{best * 1e6:.1f} µs"


def test_importing_settings_loads_nothing_heavy() -> None:
    script = "import sys; before = set(sys.modules); import penstock.settings; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    heavy = {"msgspec", "pydantic", "click", "rich", "dataclasses", "inspect", "tomllib", "difflib", "asyncio", "json"}
    assert heavy.isdisjoint(done.stdout.split())
