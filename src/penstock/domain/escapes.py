"""Taking back what programs do to a text when they write it into another: percents of URLs, backslashes of JSON and of
Python's `repr`, colours of terminals. For a search: each byte of what comes out knows where it was.

Law: pure, and it judges nothing: text that only looks escaped is taken back, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

# Text may be written into one that is written into a third, … So many readings of one text are looked at.
MOST_READINGS = 16

_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_HEX = rb"([0-9A-Fa-f]{%d})"
_BACKSLASH = re.compile(
    rb"\\(?:u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})"  # two halves of a character, in JSON
    + rb"|u" + _HEX % 4 + rb"|U" + _HEX % 8 + rb"|x" + _HEX % 2 + rb"|([\\'\"/abfnrtv0]))"
)  # fmt: skip
_COLOUR = re.compile(rb"\x1b\[[0-9;:?]*[@-~]")
_SIMPLE = dict(zip(b"\\'\"/abfnrtv0", b"\\'\"/\a\b\f\n\r\t\v\0", strict=True))


class Reading(NamedTuple):
    """Bytes, and for each of them where what it was made of begins and ends."""

    text: bytes
    starts: list[int]
    ends: list[int]


def readings(data: bytes) -> Iterator[Reading]:
    """What data may have been before it was escaped; nothing where nothing is."""
    waiting: list[tuple[bytes, Reading | None]] = [(data, None)]
    seen = {data}
    for text, before in waiting:  # grows while we walk it
        for pattern, meant in _WAYS:
            if len(seen) > MOST_READINGS or pattern.search(text) is None:
                continue
            reading = _taken_back(text, pattern, meant)
            if reading.text in seen:
                continue
            seen.add(reading.text)
            if before is not None:
                starts = [before.starts[start] for start in reading.starts]
                reading = Reading(reading.text, starts, [before.ends[end - 1] for end in reading.ends])
            waiting.append((reading.text, reading))
            yield reading


def _taken_back(text: bytes, pattern: re.Pattern[bytes], meant: Callable[[re.Match[bytes]], bytes]) -> Reading:
    parts: list[bytes] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for match in pattern.finditer(text):
        start, end = match.span()
        means = meant(match)
        parts += (text[at:start], means)
        starts += (*range(at, start), *[start] * len(means))
        ends += (*range(at + 1, start + 1), *[end] * len(means))
        at = end
    starts += range(at, len(text))
    ends += range(at + 1, len(text) + 1)
    return Reading(b"".join([*parts, text[at:]]), starts, ends)


def _percent(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)])


def _as_bytes(match: re.Match[bytes]) -> bytes:
    r"""`\xc3\xa4` are two bytes."""
    return bytes([int(match[5], 16)]) if match[5] else _as_text(match)


def _as_text(match: re.Match[bytes]) -> bytes:
    r"""`\xe4` is a character."""
    high, low, short, long, byte, simple = match.groups()
    if simple:
        return bytes([_SIMPLE[simple[0]]])
    if high:
        code = 0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF)
    else:
        code = int(short or long or byte, 16)
    return chr(code).encode("utf-8", "surrogatepass") if code < 0x110000 else match[0]


_WAYS = (
    (_PERCENT, _percent),
    (_BACKSLASH, _as_bytes),
    (_BACKSLASH, _as_text),
    (_COLOUR, lambda match: b""),
)
