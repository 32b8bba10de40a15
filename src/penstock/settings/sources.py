"""The places that settings come from, each read into one layer.

A layer is names and raw values with the label of the place. Nothing is typed here, but names are checked: an unknown
one is a problem of the layer, whether or not anybody would have asked for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from penstock.domain.errors import ConfigurationError
from penstock.settings.files import Files, parse_dotenv, parse_pyproject, parse_toml
from penstock.settings.setting import PREFIX
from penstock.settings.table import NOT_IN_PROFILES, SETTINGS, full_name, suggestion

# Names that tests and Penstock's own processes use; they are not settings.
NOT_SETTINGS = ("PENSTOCK_TEST_", "PENSTOCK_INTERNAL_", "PENSTOCK__")
DEFAULT_PROFILE = "default"
ENVIRONMENT = "environment"


class Layer:
    """The settings of one place: its label, raw values by full name, the folder its relative paths start in."""

    __slots__ = ("base", "label", "problems", "values")

    def __init__(self, label: str, base: str | None, values: Mapping[str, Any] | None = None) -> None:
        self.label = label
        self.base = base
        self.values: dict[str, Any] = dict(values or {})
        self.problems: list[ConfigurationError] = []

    def add(self, written: str, raw: object) -> None:
        """Take a value under a name as written in the place; an unknown name or a repeated one is a problem."""
        name = full_name(written)
        if name not in SETTINGS:
            self._complain(f"Unknown setting {written!r} (from {self.label}).{suggestion(written)}")
        elif name in self.values:
            self._complain(f"{name} is set twice in {self.label}; keep one of them.")
        else:
            self.values[name] = raw

    def refuse(self, names: Iterable[str], why: str) -> None:
        """Some settings make no sense in this place."""
        for name in sorted(set(names) & self.values.keys()):
            del self.values[name]
            self._complain(f"{name} (from {self.label}) {why}")

    def without(self, names: frozenset[str]) -> Layer:
        """The same layer, silent about some settings."""
        return Layer(self.label, self.base, {name: raw for name, raw in self.values.items() if name not in names})

    def _complain(self, sentence: str) -> None:
        self.problems.append(ConfigurationError(sentence))


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that are meant as settings."""
    return {name: environ[name] for name in environ if name.startswith(PREFIX) and not name.startswith(NOT_SETTINGS)}


def outer_layers(environment: Mapping[str, str], start: str | None, folder: str | None, files: Files) -> list[Layer]:
    """The layers above the profile, highest first.

    `start` is the working directory the process began in, which relative paths of the environment mean; `folder` the
    present one, whose files are read. None when it is gone.
    """
    layers = [_layer(ENVIRONMENT, start, environment.items())]
    if folder is not None:
        dotenv = os.path.join(folder, ".env")
        project = os.path.join(folder, "penstock.toml")
        pyproject = os.path.join(folder, "pyproject.toml")
        layers.append(_layer(dotenv, folder, variables(files.read(dotenv, parse_dotenv) or {}).items()))
        layers.append(_layer(project, folder, _flat(files.read(project, parse_toml) or {})))
        layers.append(_layer(pyproject, folder, _flat(files.read(pyproject, parse_pyproject) or {})))
    return layers


def _layer(label: str, base: str | None, values: Iterable[tuple[str, Any]]) -> Layer:
    layer = Layer(label, base)
    for written, raw in values:
        layer.add(written, raw)
    return layer


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a project file: `level` in a table `[logging]` is `logging.level`."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


class ProfilesContent:
    """What a profiles file holds: the active profile's name (None when it does not say), and raw values by profile."""

    __slots__ = ("active", "profiles")

    def __init__(self, active: str | None, profiles: dict[str, dict[str, Any]]) -> None:
        self.active = active
        self.profiles = profiles


def read_profiles(files: Files, path: str) -> ProfilesContent:
    """The content of a profiles file; an absent file has no profile."""
    return files.read(path, parse_profiles) or ProfilesContent(None, {})


def parse_profiles(path: str, content: bytes) -> ProfilesContent:
    """`active = "name"` and tables `[profiles.name]`; anything else in the file is refused, so that nothing is lost."""
    data = parse_toml(path, content)
    active = data.pop("active", None)
    profiles = data.pop("profiles", {})
    if active is not None and not isinstance(active, str):
        raise ConfigurationError(f"{path}: `active` must be the name of a profile, and is {active!r}.")
    if data:
        raise ConfigurationError(f"{path}: unknown key {next(iter(data))!r}; profiles are tables [profiles.NAME].")
    if not isinstance(profiles, dict) or not all(isinstance(values, dict) for values in profiles.values()):
        raise ConfigurationError(f"{path}: `profiles` must hold one table of settings for each profile.")
    return ProfilesContent(active or None, profiles)


def profile_layer(name: str, path: str, content: ProfilesContent, chosen_by: str) -> Layer:
    """The layer of a profile. The profile `default` need not exist; any other must."""
    values = content.profiles.get(name)
    if values is None and name != DEFAULT_PROFILE:
        raise ConfigurationError(
            f"Profile {name!r} (chosen by {chosen_by}) not found in {path}. Create it with"
            f" `penstock profile create {name}`, or choose another with `penstock profile use NAME`."
        )
    layer = _layer(f"profile {name!r}", os.path.dirname(path), (values or {}).items())
    layer.refuse(NOT_IN_PROFILES, "cannot be set in a profile; use an environment variable instead.")
    return layer
