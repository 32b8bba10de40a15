"""Reading the small files that hold settings, and noticing when they change.

A file is read again only when its size, time or identity changed. There is no lock: every step replaces one entry of a
dict, and two threads that read the same file at once get the same content.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any, TypeVar

from penstock.domain.errors import ConfigurationError

V = TypeVar("V")
Mark = tuple[int, int, int]


def mark_of(path: str) -> Mark | None:
    """What tells one version of a file from another; None when there is no such file, or it cannot be reached.

    A folder is no file: virtual environments are often called `.env`.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino) if stat.S_ISREG(status.st_mode) else None


class Files:
    """Files parsed once per version. `changed()` says whether any that was asked for since `forget()` differs now."""

    def __init__(self) -> None:
        self._seen: dict[str, Mark | None] = {}
        self._parsed: dict[str, tuple[Mark, Any]] = {}

    def read(self, path: str, parse: Callable[[str, bytes], V]) -> V | None:
        """`parse(path, content)` of the file's present version; None when there is no such file."""
        # The mark is taken before the content: a write between the two is seen as a change at the next look.
        mark = self._seen[path] = mark_of(path)
        if mark is None:
            return None
        kept = self._parsed.get(path)
        if kept is not None and kept[0] == mark:
            value: V = kept[1]
            return value
        try:
            with open(path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}.") from error
        value = parse(path, content)
        self._parsed[path] = (mark, value)
        return value

    def changed(self) -> bool:
        """Whether a file that was asked for is not what it was."""
        return any(mark_of(path) != mark for path, mark in list(self._seen.items()))

    def forget(self) -> None:
        """Watch nothing any more; what was parsed is kept, by version."""
        self._seen = {}


def parse_toml(path: str, content: bytes) -> dict[str, Any]:
    """A TOML file's tables; ConfigurationError names the file and the line."""
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path} is not valid TOML: line {line} is not UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}.") from error


def parse_pyproject(path: str, content: bytes) -> dict[str, Any]:
    """The `[tool.penstock]` table of a pyproject.toml, or nothing.

    A project that never mentions us is not parsed: its file costs nothing, and its mistakes are not our business.
    """
    if b"penstock" not in content:
        return {}
    tool = parse_toml(path, content).get("tool", {})
    table = tool.get("penstock", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: [tool.penstock] must be a table of settings.")
    return table


def parse_dotenv(path: str, content: bytes) -> dict[str, str]:
    """The PENSTOCK_* lines of a `.env` file; every other line belongs to somebody else and is not judged."""
    values: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8-sig", errors="replace").splitlines(), start=1):
        text = line.strip().removeprefix("export ").lstrip()
        if not text.startswith("PENSTOCK_"):
            continue
        name, equals, rest = text.partition("=")
        if not equals:
            raise ConfigurationError(f"{path}, line {number}: {name!r} has no value; write NAME=VALUE.")
        try:
            values[name.rstrip()] = _unquoted(rest.strip())
        except ValueError:
            raise ConfigurationError(
                f"{path}, line {number}: the value of {name.rstrip()} has an open quote."
            ) from None
    return values


def _unquoted(text: str) -> str:
    """The value of a line of `.env`: quotes are taken off; without them, ` #` begins a comment."""
    quote = text[:1]
    if quote not in ("'", '"'):
        return "" if quote == "#" else text.split(" #", 1)[0].rstrip()
    if quote == "'":
        return text[1 : text.index("'", 1)]
    value: list[str] = []
    marks = iter(text[1:])
    for mark in marks:
        if mark == '"':
            return "".join(value)
        if mark == "\\":
            escaped = next(marks, "")
            mark = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}.get(escaped, "\\" + escaped)
        value.append(mark)
    raise ValueError
