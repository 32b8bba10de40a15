"""Taking back what programs do to a text when they write it into another: percents of URLs, backslashes of JSON and of
Python's `repr`, entities of HTML and XML, colours of terminals. For a search: what is found in such a reading can be
placed in the text.

Law: pure, and it judges nothing: text that only looks escaped is taken back, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property

# Text may be written into one that is written into a third, … So many readings of one text are looked at.
MOST_READINGS = 16

_HEX = rb"([0-9A-Fa-f]{%d})"
_PERCENT = re.compile(rb"%" + _HEX % 2)
_BACKSLASH = re.compile(
    rb"\\(?:u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})"  # two halves of a character, in JSON
    + rb"|u" + _HEX % 4 + rb"|U" + _HEX % 8 + rb"|x" + _HEX % 2 + rb"|[\\'\"/abfnrtv0])"
)  # fmt: skip
_ENTITY = re.compile(rb"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6}));")
_ENTITIES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}
_COLOUR = re.compile(rb"\x1b\[[0-9;:?]*[@-~]")
# `\xe4` is a byte, where bytes were written, or a character.
_BYTE_OR_CHARACTER = re.compile(rb"\\x[89A-Fa-f][0-9A-Fa-f]")
_SIGNS, _MEANINGS = b"\\'\"/abfnrtv0", b"\\'\"/\a\b\f\n\r\t\v\0"
_SIMPLE = {bytes([92, sign]): bytes([meaning]) for sign, meaning in zip(_SIGNS, _MEANINGS, strict=True)}

Meant = Callable[["re.Match[bytes]"], bytes]


class Reading:
    """What a text may have been, before something was done to it all over."""

    def __init__(
        self, text: bytes, of: bytes, pattern: re.Pattern[bytes], meant: Meant, before: Reading | None
    ) -> None:
        self.text = text
        self._of = of
        self._pattern = pattern
        self._meant = meant
        self._before = before

    def placed(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of it stands in the text that was given first."""
        starts, ends = self._places
        place = starts[start], ends[end - 1]
        return place if self._before is None else self._before.placed(*place)

    @cached_property
    def _places(self) -> tuple[list[int], list[int]]:
        """For each byte, where what it was made of begins and ends."""
        starts: list[int] = []
        ends: list[int] = []
        at = 0
        for match in self._pattern.finditer(self._of):
            start, end = match.span()
            size = len(self._meant(match))
            starts += (*range(at, start), *[start] * size)
            ends += (*range(at + 1, start + 1), *[end] * size)
            at = end
        return [*starts, *range(at, len(self._of))], [*ends, *range(at + 1, len(self._of) + 1)]


def is_escaped(data: bytes) -> bool:
    """Whether there may be readings: a quick look."""
    return b"\\" in data or b"%" in data or b"&" in data or b"\x1b" in data


def readings(data: bytes) -> Iterator[Reading]:
    """What data may have been before it was escaped; nothing where nothing is."""
    waiting: list[Reading | None] = [None]
    seen = {data}
    for before in waiting:  # grows while we walk it
        of = data if before is None else before.text
        for pattern, meant in _ways(of):
            text, count = pattern.subn(meant, of)
            if count and text not in seen and len(seen) < MOST_READINGS:
                seen.add(text)
                reading = Reading(text, of, pattern, meant, before)
                waiting.append(reading)
                yield reading


def _ways(text: bytes) -> Iterator[tuple[re.Pattern[bytes], Meant]]:
    if b"%" in text:
        yield _PERCENT, _percent
    if b"\\" in text:
        yield _BACKSLASH, _as_text
        if _BYTE_OR_CHARACTER.search(text):
            yield _BACKSLASH, _as_bytes
    if b"&" in text:
        yield _ENTITY, _entity
    if b"\x1b" in text:
        yield _COLOUR, _nothing


def _percent(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)])


def _as_text(match: re.Match[bytes]) -> bytes:
    simple = _SIMPLE.get(match[0])
    if simple is not None:
        return simple
    high, low, short, long, byte = match.groups()
    if high:
        code = 0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF)
    else:
        code = int(short or long or byte, 16)
    return chr(code).encode("utf-8", "surrogatepass") if code < 0x110000 else match[0]


def _as_bytes(match: re.Match[bytes]) -> bytes:
    byte = match[5]
    return _as_text(match) if byte is None else bytes([int(byte, 16)])


def _entity(match: re.Match[bytes]) -> bytes:
    name, number, hexadecimal = match.groups()
    if name:
        return _ENTITIES[name]
    code = int(number) if number else int(hexadecimal, 16)
    return chr(code).encode("utf-8", "surrogatepass") if code < 0x110000 else match[0]


def _nothing(match: re.Match[bytes]) -> bytes:
    return b""
