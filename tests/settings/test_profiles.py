"""Profiles: what is written is read back, other profiles stay, and a write happens whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.errors import ConfigurationError
from penstock.settings import current
from penstock.settings import profiles as verbs
from penstock.settings.sources import ProfilesContent
from penstock.settings.toml_text import profiles_toml

OTHER = 'active = "mine"\n[profiles.mine]\nPENSTOCK_LOGGING_LEVEL = "ERROR"\njournal_limit = 5\n[profiles."x y"]\n'


def test_without_a_file_there_is_the_default_profile(penstock_home: Path) -> None:
    assert verbs.active_profile() == "default"
    assert verbs.profile_names() == ["default"]
    assert verbs.read_profile("default") == {}
    assert not penstock_home.exists()


def test_setting_a_value_makes_the_default_profile_and_counts_at_once(penstock_home: Path) -> None:
    assert current().logging_level == "INFO"
    assert verbs.set_in_profile("default", {"logging_level": "error"}) == {"PENSTOCK_LOGGING_LEVEL": "error"}
    assert current().logging_level == "ERROR"
    assert current().source("logging_level") == "profile 'default'"
    assert verbs.unset_in_profile("default", ["logging_level"]) == ["PENSTOCK_LOGGING_LEVEL"]
    assert current().logging_level == "INFO"


def test_changing_one_profile_keeps_the_others(profiles_file: Path) -> None:
    profiles_file.write_text(OTHER)
    verbs.create_profile("copy", "mine")
    verbs.set_in_profile("copy", {"PENSTOCK_API_KEY": 'a"\\\n'})
    assert tomllib.loads(profiles_file.read_text()) == {
        "active": "mine",
        "profiles": {
            "mine": {"PENSTOCK_LOGGING_LEVEL": "ERROR", "journal_limit": 5},
            "x y": {},
            "copy": {"PENSTOCK_LOGGING_LEVEL": "ERROR", "PENSTOCK_JOURNAL_LIMIT": 5, "PENSTOCK_API_KEY": 'a"\\'},
        },
    }


def test_use_rename_and_delete(profiles_file: Path) -> None:
    profiles_file.write_text(OTHER)
    verbs.rename_profile("mine", "ours")
    assert (verbs.active_profile(), verbs.profile_names()) == ("ours", ["ours", "x y"])
    with pytest.raises(ConfigurationError, match="is the active profile"):
        verbs.delete_profile("ours")
    verbs.use_profile("x y")
    assert current().active_profile == "x y"
    verbs.delete_profile("ours")
    assert verbs.profile_names() == ["x y"]


def test_what_does_not_exist_or_already_does_is_refused_and_nothing_is_written(profiles_file: Path) -> None:
    profiles_file.write_text(OTHER)
    for verb, arguments, said in [
        (verbs.read_profile, ("ghost",), "'ghost' not found"),
        (verbs.use_profile, ("ghost",), "'ghost' not found"),
        (verbs.delete_profile, ("ghost",), "'ghost' not found"),
        (verbs.rename_profile, ("ghost", "a"), "'ghost' not found"),
        (verbs.rename_profile, ("mine", "x y"), "'x y' already exists"),
        (verbs.create_profile, ("mine",), "'mine' already exists"),
        (verbs.create_profile, ("new", "ghost"), "'ghost' not found"),
        (verbs.create_profile, ("",), "cannot name a profile"),
        (verbs.create_profile, ("a\nb",), "cannot name a profile"),
        (verbs.unset_in_profile, ("mine", ["api_url"]), "is not set in profile 'mine'"),
        (verbs.unset_in_profile, ("mine", ["api_ulr"]), "Did you mean"),
        (verbs.set_in_profile, ("mine", {"logging_level": "LOUD"}), "must be one of"),
        (verbs.set_in_profile, ("mine", {"home": "/x"}), "cannot be set in a profile"),
    ]:
        with pytest.raises(ConfigurationError, match=said):
            verb(*arguments)  # type: ignore[operator]
    assert profiles_file.read_text() == OTHER


def test_a_broken_value_can_be_mended_with_the_verbs(profiles_file: Path) -> None:
    profiles_file.write_text('[profiles.default]\nPENSTOCK_OLD_NAME = "1"\nPENSTOCK_LOGGING_LEVEL = "LOUD"\n')
    verbs.unset_in_profile("default", ["PENSTOCK_OLD_NAME"])
    verbs.set_in_profile("default", {"logging_level": "INFO"})
    assert current().logging_level == "INFO"


def test_a_missing_active_profile_can_be_mended_with_the_verbs(profiles_file: Path) -> None:
    profiles_file.write_text('active = "gone"\n[profiles.a]\n')
    with pytest.raises(ConfigurationError, match="`active` in"):
        current()
    verbs.use_profile("a")
    assert current().active_profile == "a"


@pytest.mark.parametrize("text", ["other = 1\n", "active = 3\n", "profiles = 3\n", "[profiles]\na = 3\n"])
def test_a_file_of_another_shape_is_refused_and_left_alone(profiles_file: Path, text: str) -> None:
    profiles_file.write_text(text)
    with pytest.raises(ConfigurationError, match=str(profiles_file)):
        verbs.create_profile("a")
    assert profiles_file.read_text() == text


def test_a_new_file_is_its_owners_only_and_an_old_one_keeps_its_mode(penstock_home: Path) -> None:
    verbs.create_profile("a")
    path = penstock_home / "profiles.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    verbs.create_profile("b")
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(penstock_home)) == ["profiles.toml", "profiles.toml.lock"]


def test_a_link_to_the_file_stays_a_link(profiles_file: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text(OTHER)
    profiles_file.symlink_to(real)
    verbs.create_profile("new")
    assert profiles_file.is_symlink()
    assert "new" in tomllib.loads(real.read_text())["profiles"]


def test_a_write_that_fails_leaves_the_old_file(profiles_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles_file.write_text(OTHER)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        verbs.create_profile("new")
    assert profiles_file.read_text() == OTHER
    assert sorted(os.listdir(profiles_file.parent)) == ["profiles.toml", "profiles.toml.lock"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")
def test_commands_at_once_lose_nothing(penstock_home: Path) -> None:
    script = "import sys; from penstock.settings.profiles import create_profile; create_profile(sys.argv[1])"
    running = [subprocess.Popen([sys.executable, "-c", script, f"p{number}"]) for number in range(6)]
    assert [process.wait() for process in running] == [0] * 6
    assert set(verbs.profile_names()) == {"default", *(f"p{number}" for number in range(6))}


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.one_of(TEXT, st.booleans(), st.integers(), st.floats(allow_nan=False), st.lists(TEXT, max_size=3))


@given(st.none() | TEXT.filter(bool), st.dictionaries(TEXT, st.dictionaries(TEXT, VALUES, max_size=3), max_size=3))
def test_what_is_written_is_read_back(active: str | None, profiles: dict[str, dict[str, object]]) -> None:
    data = tomllib.loads(profiles_toml("p", ProfilesContent(active, profiles)))
    assert (data.get("active"), data.get("profiles", {})) == (active, profiles)
