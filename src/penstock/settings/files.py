"""Reading the small files that hold settings, and noticing when they change.

A file is read again only when its size, time or identity changed. There is no lock: every step replaces one entry of a
dict, and two threads that read the same file at once get the same content.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from typing import Any, TypeVar

from penstock.domain.errors import ConfigurationError

V = TypeVar("V")
Mark = tuple[int, int, int]

_LINE_END = re.compile(rb"\r\n?|\n")
_EXPORT = re.compile(r"^export\s+")
_VARIABLE = re.compile(r"[A-Za-z0-9_]+")


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
    """The PENSTOCK_* lines of a `.env` file; every other line belongs to somebody else and is not judged.

    Of ours, one that cannot be read as it was meant is an error that names file and line.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(_LINE_END.split(content.removeprefix(b"\xef\xbb\xbf")), start=1):
        text = _EXPORT.sub("", line.decode(errors="replace").strip())
        if not text.startswith("PENSTOCK_"):
            continue
        where = f"{path}, line {number}:"
        name, equals, rest = text.partition("=")
        name = name.rstrip()
        if not _VARIABLE.fullmatch(name):
            raise ConfigurationError(f"{where} {name!r} is not a name of a setting; write NAME=VALUE.")
        if not equals:
            raise ConfigurationError(f"{where} {name!r} has no value; write NAME=VALUE.")
        if not _is_utf8(line):
            raise ConfigurationError(f"{where} the value of {name} is not UTF-8 text.")
        try:
            values[name] = _unquoted(rest.strip())
        except ValueError as error:
            raise ConfigurationError(f"{where} the value of {name} has {error}.") from None
    return values


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _unquoted(text: str) -> str:
    """The value of a line of `.env`: quotes are taken off; without them, ` #` begins a comment.

    Raises ValueError with what is wrong.
    """
    quote = text[:1]
    if quote not in ("'", '"'):
        return "" if quote == "#" else text.split(" #", 1)[0].rstrip()
    if quote == "'":
        inner, closed, rest = text[1:].partition("'")
        return _closed(inner, rest if closed else None)
    value: list[str] = []
    marks = iter(text[1:])
    for mark in marks:
        if mark == '"':
            return _closed("".join(value), "".join(marks))
        if mark == "\\":
            escaped = next(marks, "")
            mark = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}.get(escaped, "\\" + escaped)
        value.append(mark)
    return _closed("".join(value), None)


def _closed(value: str, rest: str | None) -> str:
    """A quoted value, when after its quote (None: it has none) there is nothing but a comment."""
    if rest is None:
        raise ValueError("an open quote")
    if rest.strip() and not rest.lstrip().startswith("#"):
        raise ValueError(f"{rest.strip()!r} after its closing quote")
    return value
