"""From layers of raw values to one `Settings`: precedence, types, derived values.

Precedence, highest first: overrides, environment, .env, project file, profile, fallbacks, default. Problems are
gathered, so that `penstock config validate` can show them all; whoever needs the settings raises the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from penstock.domain.errors import ConfigurationError
from penstock.settings.files import Files
from penstock.settings.kinds import is_blank
from penstock.settings.setting import DEFAULT, DERIVED, Setting
from penstock.settings.sources import (
    DEFAULT_PROFILE,
    ENVIRONMENT,
    Layer,
    ProfilesContent,
    profile_layer,
    read_profiles,
)
from penstock.settings.table import (
    PENSTOCK_API_URL,
    PENSTOCK_HOME,
    PENSTOCK_PROFILE,
    PENSTOCK_PROFILES_PATH,
    PENSTOCK_UI_URL,
    SETTINGS,
)
from penstock.settings.values import Settings

T = TypeVar("T")

HOME_MARK = "$PENSTOCK_HOME"

# Profiles that a command line chose with `--profile`: it sets the variable for the process, and messages should not
# send people looking for that.
profile_options: list[str] = []


class Place:
    """Where the profiles are: home, the profiles file and its content, the chosen profile and who chose it."""

    __slots__ = ("active", "chosen_by", "content", "home", "path")

    def __init__(self, home: Path, path: Path, content: ProfilesContent, chosen: str | None, chosen_by: str) -> None:
        self.home = home
        self.path = path
        self.content = content
        self.active = chosen or content.active or DEFAULT_PROFILE
        if chosen is None:
            self.chosen_by = f"`active` in {path}"
        elif chosen in profile_options and chosen_by == ENVIRONMENT:
            self.chosen_by = "the option --profile"
        else:
            self.chosen_by = f"PENSTOCK_PROFILE from {chosen_by}"


class Frame:
    """What the enclosing `temporary_settings` say: overrides, the names set back to default, fallbacks."""

    __slots__ = ("fallbacks", "overrides", "restored")

    def __init__(self, overrides: Layer, restored: frozenset[str], fallbacks: Layer) -> None:
        self.overrides = overrides
        self.restored = restored
        self.fallbacks = fallbacks


def locate(outer: Sequence[Layer], frame: Frame | None, files: Files) -> Place:
    """Find the profiles: needs only the layers above them, so it works while the profiles themselves are broken."""
    stack = _stack(outer, frame)
    home, _ = _value(PENSTOCK_HOME, stack, Path(HOME_MARK))
    path, _ = _value(PENSTOCK_PROFILES_PATH, stack, home)
    chosen, chosen_by = _value(PENSTOCK_PROFILE, stack, home)
    return Place(home, path, read_profiles(files, str(path)), chosen, chosen_by)


def resolve(outer: Sequence[Layer], frame: Frame | None, files: Files) -> Settings:
    """The settings, or ConfigurationError with the first problem."""
    for layer in outer:
        for problem in layer.problems:
            raise problem
    place = locate(outer, frame, files)
    profile = profile_layer(place.active, str(place.path), place.content, place.chosen_by)
    for problem in profile.problems:
        raise problem
    stack = _stack([*outer, profile], frame)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, setting in SETTINGS.items():
        values[name], sources[name] = _value(setting, stack, place.home)
    _derive(values, sources)
    return Settings(values, sources, place.active)


def problems(outer: Sequence[Layer], frame: Frame | None, files: Files) -> Iterator[ConfigurationError]:
    """Everything that is wrong in any layer, also where a higher layer hides it; each sentence once."""
    seen: set[str] = set()
    for problem in _all_problems(outer, frame, files):
        if str(problem) not in seen:
            seen.add(str(problem))
            yield problem


def _all_problems(outer: Sequence[Layer], frame: Frame | None, files: Files) -> Iterator[ConfigurationError]:
    layers = list(outer)
    home = Path.home()
    try:
        place = locate(outer, frame, files)
        home = place.home
        layers.append(profile_layer(place.active, str(place.path), place.content, place.chosen_by))
    except ConfigurationError as error:
        yield error
    for layer in layers:
        yield from layer.problems
        for name in layer.values:
            try:
                _value(SETTINGS[name], [layer], home)
            except ConfigurationError as error:
                yield error


def _stack(layers: Sequence[Layer], frame: Frame | None) -> list[Layer]:
    """The layers in order of precedence, with what `temporary_settings` put above, below and aside."""
    if frame is None:
        return list(layers)
    return [frame.overrides, *(layer.without(frame.restored) for layer in layers), frame.fallbacks]


def _value(setting: Setting[T], stack: Sequence[Layer], home: Path) -> tuple[T, str]:
    """A setting's typed value and the label of the layer it is from.

    Blank text means none where none is allowed, and elsewhere that the place does not set it (`NAME=` in a shell).
    """
    for layer in stack:
        if setting.name not in layer.values:
            continue
        raw = layer.values[setting.name]
        if is_blank(raw) and not setting.kind.takes_blank:
            continue
        try:
            value = setting.kind.read(raw)
        except ValueError:
            raise refused(setting, raw, layer.label) from None
        return _placed(setting, value, home, layer), layer.label
    return _placed(setting, setting.default, home, None), DEFAULT


def refused(setting: Setting[Any], raw: object, label: str) -> ConfigurationError:
    """The error for a value that a setting cannot have."""
    text = repr(setting.shown(raw))
    text = text if len(text) <= 200 else text[:200] + "..."
    return ConfigurationError(f"{setting.name} is {text} (from {label}), but must be {setting.kind.allowed}.")


def _placed(setting: Setting[T], value: T, home: Path, layer: Layer | None) -> T:
    """Paths made absolute: `~`, `$PENSTOCK_HOME`, and relative ones from the folder of the place that sets them."""
    if not isinstance(value, Path):
        return value
    label = DEFAULT if layer is None else layer.label
    path: Path = value
    try:
        path = path.expanduser()
    except RuntimeError as error:
        raise ConfigurationError(
            f"{setting.name} is {str(value)!r} (from {label}), and ~ is not known here."
        ) from error
    if path.parts[:1] == (HOME_MARK,):
        if setting is PENSTOCK_HOME:
            raise refused(setting, str(value), label)
        path = home.joinpath(*path.parts[1:])
    elif not path.is_absolute():
        if layer is None or layer.base is None:
            raise ConfigurationError(
                f"{setting.name} is {str(value)!r} (from {label}), relative to a working directory that is gone."
            )
        path = Path(layer.base) / path
    return cast(T, path)


def _derive(values: dict[str, Any], sources: dict[str, str]) -> None:
    """The UI is served beside the API, unless somebody said where it is, or that there is none."""
    api, ui = PENSTOCK_API_URL.name, PENSTOCK_UI_URL.name
    if sources[ui] == DEFAULT and values[api]:
        values[ui] = values[api].removesuffix("/api")
        sources[ui] = DERIVED + api
