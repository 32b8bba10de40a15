"""What is left to be read of text that moves the cursor: progress bars, spinners, live displays.

A small part of what a terminal does, enough to fold what was drawn again and again into its last state: carriage
return, erase, cursor up and down. Colours are left in the text. It is no emulator: text that is drawn over a line
replaces the line, which is what bars mean by it.
"""

from __future__ import annotations

import re

# A display with more lines than any terminal is no display; what scrolls out at the top is gone.
MOST_LINES = 1000
_MOVES = re.compile(r"\r|\n|\x1b\[([0-9;?]*)([@-~])|\x1b[78=>]")


def moves(text: str) -> bool:
    """Whether text does more than follow what came before it. (Colours alone do not.)"""
    if "\r" in text:
        return True
    return "\x1b" in text and any(move.group(2) not in (None, "m") for move in _MOVES.finditer(text))


class Screen:
    """Lines under a cursor: `write` moves it, `text` is what stands there."""

    __slots__ = ("_fresh", "_lines", "_row", "dropped", "longest")

    def __init__(self, longest: int) -> None:
        self._lines = [""]
        self._row = 0
        self._fresh = False  # what is written next begins its line anew
        self.longest = longest  # characters that a line may have
        self.dropped = 0

    def write(self, text: str) -> None:
        place = 0
        for move in _MOVES.finditer(text):
            self._put(text[place : move.start()])
            place = move.end()
            self._move(move.group(), move.group(1), move.group(2))
        self._put(text[place:])

    def at_line_end(self) -> bool:
        """Whether the cursor stands below all that was written."""
        return self._row == len(self._lines) - 1 and not self._lines[-1]

    def text(self) -> str:
        """What can be read, without blank lines at the end."""
        return "\n".join(line.rstrip() for line in self._lines).rstrip("\n")

    def _put(self, text: str) -> None:
        # Blanks are drawn over a line to erase it before what comes next; alone they are not its last state.
        if not text or (self._fresh and not text.strip()):
            return
        line = text if self._fresh else self._lines[self._row] + text
        self._fresh = False
        if len(line) > self.longest:
            self.dropped += len(line) - self.longest
            line = line[: self.longest]
        self._lines[self._row] = line

    def _move(self, whole: str, argument: str | None, kind: str | None) -> None:
        if whole == "\r":
            self._fresh = True
        elif whole == "\n":
            self._go(self._row + 1)
        elif kind == "m":
            self._colour(whole)
        elif kind == "A":
            self._go(self._row - _number(argument))
        elif kind in ("B", "E"):
            self._go(self._row + _number(argument))
        elif kind == "F":
            self._go(self._row - _number(argument))
        elif kind == "K" and (argument == "2" or (self._fresh and argument in ("", "0"))):
            self._lines[self._row] = ""
        elif kind == "J" and argument in ("", "0"):
            del self._lines[self._row + 1 :]
        elif kind == "J":
            self._lines[:] = [""]
            self._row = 0

    def _colour(self, code: str) -> None:
        # A colour that is set before the line is drawn again belongs to what is drawn, not to what was there.
        if not self._fresh:
            self._lines[self._row] += code

    def _go(self, row: int) -> None:
        self._row = max(row, 0)
        while self._row >= len(self._lines):
            self._lines.append("")
        if len(self._lines) > MOST_LINES:
            over = len(self._lines) - MOST_LINES
            del self._lines[:over]
            self._row = max(self._row - over, 0)
        self._fresh = bool(self._lines[self._row])


def _number(argument: str | None) -> int:
    return min(int(argument), MOST_LINES) if argument and argument.isdigit() else 1
