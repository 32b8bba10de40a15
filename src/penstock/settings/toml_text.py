"""Writing the profiles file: TOML of one flat shape, exactly readable by `tomllib`."""

from __future__ import annotations

from penstock.domain.errors import ConfigurationError
from penstock.settings.sources import ProfilesContent

HEADER = "# Profiles of Penstock settings. `penstock profile` and `penstock config` rewrite it without comments.\n"
BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def profiles_toml(path: str, content: ProfilesContent) -> str:
    """The text of a profiles file; ConfigurationError when a value in it has no place in a profile."""
    lines = [HEADER]
    if content.active is not None:
        lines.append(f"active = {_text(content.active)}\n")
    for name, values in content.profiles.items():
        lines.append(f"\n[profiles.{_key(name)}]\n")
        lines.extend(f"{_key(key)} = {_value(path, name, key, value)}\n" for key, value in values.items())
    return "".join(lines)


def _value(path: str, profile: str, key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return "[" + ", ".join(_value(path, profile, key, item) for item in value) + "]"
    raise ConfigurationError(
        f"{path} cannot be rewritten: {key!r} in profile {profile!r} is a {type(value).__name__}, which no setting is."
    )


def _key(name: str) -> str:
    return name if name and BARE.issuperset(name) else _text(name)


def _text(text: str) -> str:
    """A basic string. What cannot be seen is escaped; half a surrogate pair is no text at all."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{text!r} is not text that a file can hold.") from None
    return '"' + "".join(_escaped(mark) for mark in text) + '"'


def _escaped(mark: str) -> str:
    if mark in ('"', "\\"):
        return "\\" + mark
    return mark if mark >= " " and mark != "\x7f" else f"\\u{ord(mark):04x}"
