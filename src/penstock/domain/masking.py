"""Masking: what is known to be secret is replaced by asterisks, in whatever form it stands in a text.

Law: pure. It knows no settings and no runs; who learns of a secret tells it, who writes something asks it.

How it is quick. Each line that a run writes is searched for some hundreds of forms. Text is looked at as bytes, four at
a time, as numbers: a form of seven bytes or more has four bytes in a row that begin at a multiple of four, wherever it
stands; so one look at every fourth place is enough to see that none is there, and the interpreter's own loop does that.
Shorter forms need a look at every second place, or at every place. Only where a number is known, forms are compared.
What was escaped (`escapes`) is taken back and searched as well: there are too many ways to escape a text.

There is no lock: code of users that adds a secret may be interrupted anywhere, and another thread may fork. Tables only
grow, a step at a time, and a secret counts as known when it is in all of them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator

from .escapes import is_escaped, readings
from .secret_forms import forms_of

MASK = "********"
# A masked text is searched again, for its asterisks may have made a secret of what stood around it. Then all is masked.
_ROUNDS = 8
# How far into a form we look for the place that tells it best from others.
_LOOKED_AT = 32
# How much more is looked at of a text of which only the beginning is wanted: a match of a pattern may be long.
_MARGIN = 2000
# Long data is looked at in parts: a hit is then no reason to go through all of it in Python.
_PART = 1 << 14

# 1 for what looks like any text, 0 for other bytes: most of a text is small letters and spaces.
_PLAIN = bytes(97 <= byte <= 122 or byte == 32 for byte in range(256))

Span = tuple[int, int]
Match = tuple[int, int, bytes]
# A secret's value, or (True) a pattern that was added.
Learned = tuple[bool, str | bytes]


class Masker:
    """Knows secrets and patterns, and masks them. Any thread may add, any may ask.

    `active`: whether anything is known. `longest`: characters of the longest form, for who masks a stream in parts.
    """

    def __init__(self) -> None:
        self.active = False
        self.longest = 0
        self._secrets: dict[str | bytes, None] = {}
        self._learned: list[Learned] = []
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._held: tuple[str, ...] = ()
        self._held_patterns: tuple[re.Pattern[str], ...] = ()
        # Number of the bytes at a multiple of 4 plus 0, 1, 2, 3 → forms that they may be part of, and where in it.
        self._tables: tuple[dict[int, dict[tuple[int, bytes], None]], ...] = ({}, {}, {}, {})
        self._shortest = 1 << 62
        # form → the secret that it is a form of
        self._secret_of: dict[bytes, str | bytes] = {}

    # --- what is known ---

    def add(self, value: str | bytes) -> bool:
        """A secret's clear value. False when it is not masked: fewer than four characters, blank, or asterisks only."""
        if value in self._secrets:
            return True
        forms = forms_of(value)
        if not forms:
            return False
        for form in forms:
            self._secret_of[form] = value
            self._enter(form)
        self._shortest = min(self._shortest, *map(len, forms))
        self.longest = max(self.longest, *map(len, forms))
        self.active = True
        self._secrets[value] = None
        self._learned.append((False, value))
        return True

    def add_pattern(self, regex: str) -> None:
        """What fits is masked: the group named `secret`, if the pattern has one, else all of it. Raises `re.error`."""
        if regex in self._patterns:
            return
        self._patterns[regex] = re.compile(regex)
        self._learned.append((True, regex))
        self.active = True

    def hold_patterns(self, regexes: Iterable[str]) -> None:
        """As `add_pattern`, in place of those that were given here before."""
        given = tuple(regexes)
        if given == self._held:
            return
        self._held_patterns = tuple(map(re.compile, given))
        self._held = given
        self.active = bool(self._secrets or self._patterns or given)

    def learned(self, after: int = 0) -> list[Learned]:
        """What was added, oldest first, without the first `after`: for a process that works for this one."""
        return self._learned[after:]

    def learn(self, learned: Iterable[Learned]) -> None:
        """Adds what another process has learned."""
        for is_pattern, value in learned:
            if is_pattern and isinstance(value, str):
                self.add_pattern(value)
            else:
                self.add(value)

    def _enter(self, form: bytes) -> None:
        """Notes a form under numbers of which any place where it may stand shows at least one."""
        size = len(form)
        step = 4 if size >= 7 else 2 if size >= 5 else 1
        grams = [int.from_bytes(form[at : at + 4], sys.byteorder) for at in range(min(size - 3, _LOOKED_AT))]
        first = self._tables[0]
        plain = form[: _LOOKED_AT + 4].translate(_PLAIN)
        cost = [len(first.get(gram, ())) * 8 + plain.count(1, at, at + 4) for at, gram in enumerate(grams)]
        best = min(range(len(grams) - step + 1), key=lambda at: sum(cost[at : at + step]))
        for table in self._tables[::step]:
            for at in range(best, best + step):
                table.setdefault(grams[at], {})[at, form] = None

    # --- what is asked ---

    def text(self, text: str) -> str:
        """The text with asterisks for each secret; the very same object where there is none."""
        if not self.active:
            return text
        spans = self._all_in(text)
        return self._masked(text, spans) if spans else text

    def reach(self, most: int) -> int:
        """How much of a text `head` looks at to give `most` of it: a secret that the cut falls into is seen whole."""
        return most + max(_MARGIN, self.longest)

    def head(self, text: str, most: int) -> str:
        """The first `most` characters of a text; a secret that this end falls into is masked whole."""
        if not self.active:
            return text[:most]
        seen = text[: self.reach(most)]
        spans = [span for span in self._all_in(seen) if span[0] < most]
        return self._masked(seen[: max(most, spans[-1][1])], spans) if spans else text[:most]

    def any_in(self, texts: list[str]) -> bool:
        """Whether there may be something to mask in one of these; quicker than to look at each."""
        if not self.active:
            return False
        if self._patterns or self._held_patterns:
            return any(self._all_in(text) for text in texts)
        return bool(self._in_text("\n".join(texts)))

    def secrets_in(self, data: bytes) -> list[str | bytes]:
        """The secrets of which bytes hold a form."""
        matches = sorted(self._matches(data))
        return list(dict.fromkeys(self._secret_of[form] for _, _, form in matches))

    def _all_in(self, text: str) -> list[Span]:
        spans = self._in_text(text)
        if self._patterns or self._held_patterns:
            spans = _merged([*spans, *self._fitting(text)])
        return spans

    def _masked(self, text: str, spans: list[Span]) -> str:
        for _ in range(_ROUNDS):
            text = _replaced(text, spans)
            spans = self._in_text(text)
            if not spans:
                return text
        return MASK

    def holds(self, data: bytes) -> bool:
        """Whether bytes hold a secret, in any of its forms, or what fits a pattern."""
        if not self.active:
            return False
        if self._found(data):
            return True
        if self._patterns or self._held_patterns:
            return any(self._fitting(data.decode(errors="replace")))
        return False

    def _in_text(self, text: str) -> list[Span]:
        data = text.encode("utf-8", "surrogatepass")
        spans = self._found(data)
        if not spans or len(data) == len(text):
            return spans
        return _in_characters(data, spans)

    def _found(self, data: bytes) -> list[Span]:
        """Where forms are, in order; those that touch are one."""
        if len(data) < self._shortest:
            return []
        matches = self._matches(data)
        return _merged([(start, end) for start, end, _ in matches]) if matches else []

    def _matches(self, data: bytes) -> list[Match]:
        matches = self._standing_in(data)
        if is_escaped(data):
            for reading in readings(data):
                found = self._standing_in(reading.text)
                matches += [(*reading.placed(start, end), form) for start, end, form in found]
        return matches

    def _standing_in(self, data: bytes) -> list[Match]:
        size = len(data)
        matches: list[Match] = []
        view = memoryview(data)
        for start, table in enumerate(self._tables):
            if not table:
                continue
            known = table.keys()
            for begin in range(start, size, _PART):
                end = min(begin + _PART, begin + (size - begin & ~3))
                numbers = view[begin:end].cast("I")
                if not known.isdisjoint(numbers):
                    for index, number in enumerate(numbers):
                        if number in table:
                            matches += _matching(data, begin + index * 4, list(table[number]))
        return matches

    def _fitting(self, text: str) -> Iterator[Span]:
        for pattern in (*self._patterns.values(), *self._held_patterns):
            group = "secret" if "secret" in pattern.groupindex else 0
            for match in pattern.finditer(text):
                start, end = match.span(group)
                if start < end:
                    yield start, end


def _matching(data: bytes, place: int, candidates: list[tuple[int, bytes]]) -> Iterator[Match]:
    for at, form in candidates:
        start = place - at
        if start >= 0 and data.startswith(form, start):
            yield start, start + len(form), form


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _in_characters(data: bytes, spans: list[Span]) -> list[Span]:
    """Places in UTF-8 as places in its text; a character that is touched belongs to it."""
    found: list[Span] = []
    at = characters = 0
    for start, end in spans:
        while data[start] & 0xC0 == 0x80:
            start -= 1
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end += 1
        start = max(start, at)
        characters += _count(data[at:start])
        begin = characters
        characters += _count(data[start:end])
        at = end
        found.append((begin, characters))
    return found


def _count(data: bytes) -> int:
    return len(data.decode("utf-8", "surrogatepass"))


def _replaced(text: str, spans: list[Span]) -> str:
    parts: list[str] = []
    at = 0
    for start, end in spans:
        parts += (text[at:start], MASK)
        at = end
    return "".join([*parts, text[at:]])
