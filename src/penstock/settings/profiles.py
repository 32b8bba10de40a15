"""Profiles: named sets of settings in one file, and the verbs to change them.

Each change reads the file, makes its change and replaces the file in one step, under a lock, so that two commands at
once lose nothing and a crash leaves the old file. The file is written anew each time: comments in it are not kept.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from penstock.domain.errors import ConfigurationError
from penstock.settings.current import find_profiles, refresh
from penstock.settings.files import Files
from penstock.settings.kinds import written
from penstock.settings.resolve import refused
from penstock.settings.setting import Setting
from penstock.settings.sources import DEFAULT_PROFILE, ProfilesContent, read_profiles
from penstock.settings.table import NOT_IN_PROFILES, SETTINGS, full_name, named
from penstock.settings.toml_text import profiles_toml

if sys.platform != "win32":
    import fcntl


def active_profile() -> str:
    """The name of the profile in use."""
    return find_profiles().active


def profile_names() -> list[str]:
    """The names of all profiles, in the file's order; the one in use is there even when it is not in the file yet."""
    place = find_profiles()
    names = list(place.content.profiles)
    return names if place.active in names or place.active != DEFAULT_PROFILE else [DEFAULT_PROFILE, *names]


def read_profile(name: str) -> dict[str, Any]:
    """The values of a profile by full name, as the file has them, unknown names included."""
    place = find_profiles()
    if name not in place.content.profiles and name == DEFAULT_PROFILE == place.active:
        return {}
    return _by_full_name(_existing(place.content, name))


def create_profile(name: str, copy_of: str | None = None) -> None:
    """Add a profile: an empty one, or a copy of another."""
    with _changed() as content:
        _free(content, name)
        content.profiles[name] = dict(_existing(content, copy_of)) if copy_of is not None else {}


def use_profile(name: str) -> None:
    """Make a profile the active one."""
    with _changed() as content:
        if name != DEFAULT_PROFILE:
            _existing(content, name)
        content.active = name


def delete_profile(name: str) -> None:
    """Remove a profile that is not in use."""
    active = active_profile()
    with _changed() as content:
        _existing(content, name)
        if name in (active, content.active):
            raise ConfigurationError(
                f"Profile {name!r} is the active profile. You must switch profiles before it can be deleted."
            )
        del content.profiles[name]


def rename_profile(name: str, new_name: str) -> None:
    """Give a profile another name; it stays the active one if it was."""
    with _changed() as content:
        _existing(content, name)
        _free(content, new_name)
        content.profiles = {new_name if key == name else key: values for key, values in content.profiles.items()}
        if content.active == name:
            content.active = new_name


def set_in_profile(name: str, values: Mapping[Setting[Any], object] | Mapping[str, object]) -> dict[str, str]:
    """Set values in a profile (made if it is the default one); returns what was written, by full name.

    All are checked before any is written.
    """
    texts: dict[str, str] = {}
    for key, raw in values.items():
        setting = named(key)
        if setting.name in NOT_IN_PROFILES:
            raise ConfigurationError(
                f"Setting {setting.name!r} cannot be set in a profile. Use an environment variable instead."
            )
        try:
            value = setting.kind.read(raw)
        except ValueError:
            raise refused(setting, raw, "this command") from None
        # Paths and the like are kept as they were written: `~` should mean the home of whoever reads it.
        texts[setting.name] = raw.strip() if isinstance(raw, str) else written(value)
    with _changed() as content:
        if name == DEFAULT_PROFILE:
            content.profiles.setdefault(name, {})
        content.profiles[name] = {**_by_full_name(_existing(content, name)), **texts}
    return texts


def unset_in_profile(name: str, settings: Iterable[Setting[Any] | str]) -> list[str]:
    """Remove settings from a profile; returns their full names. Unknown names go too, when the profile has them."""
    names = list(dict.fromkeys(it.name if isinstance(it, Setting) else full_name(it) for it in settings))
    with _changed() as content:
        values = _by_full_name(content.profiles.get(name, {}) if name == DEFAULT_PROFILE else _existing(content, name))
        for setting in names:
            if setting not in values:
                named(setting)
                raise ConfigurationError(f"{setting!r} is not set in profile {name!r}.")
            del values[setting]
        content.profiles[name] = values
    return names


def _existing(content: ProfilesContent, name: str) -> dict[str, Any]:
    if name not in content.profiles:
        raise ConfigurationError(f"Profile {name!r} not found.")
    return content.profiles[name]


def _free(content: ProfilesContent, name: str) -> None:
    if not name.strip() or not name.isprintable():
        raise ConfigurationError(f"{name!r} cannot name a profile: a name has letters, and none that cannot be seen.")
    if name in content.profiles:
        raise ConfigurationError(f"Profile {name!r} already exists.")


def _by_full_name(values: Mapping[str, Any]) -> dict[str, Any]:
    """Short names written out, so that `api_url` and PENSTOCK_API_URL are one; unknown ones are left as they are."""
    return {full_name(key) if full_name(key) in SETTINGS else key: value for key, value in values.items()}


@contextmanager
def _changed() -> Iterator[ProfilesContent]:
    """The file's content, to be changed; written when the block ends well."""
    path = os.path.realpath(find_profiles().path)  # a link to the file stays a link
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with _locked(path):
            content = read_profiles(Files(), path)
            yield content
            _replace(path, profiles_toml(path, content).encode())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        refresh()


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Only one process changes the file at a time (where the system has such locks)."""
    with open(path + ".lock", "a") as lock:
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: str, content: bytes) -> None:
    """Put new content in the file's place in one step. It may hold keys, so a new file is its owner's only."""
    temporary = f"{path}.{os.getpid()}.new"
    mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o600
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
