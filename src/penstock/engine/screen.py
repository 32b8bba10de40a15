"""What is left to be read of text that moves the cursor: progress bars, spinners, live displays.

A small part of what a terminal does, enough to fold what was drawn again and again into its last state: carriage
return, erase, cursor up, down and home. Colours are left in the text. It is no emulator: text that is drawn over a line
replaces the line, which is what bars mean by it.

Lines that the cursor has not come near for long (what was printed above a bar) have passed: nobody draws there again.
"""

from __future__ import annotations

import re

# A display has not more lines than a terminal; those above have scrolled out of reach.
MOST_LINES = 500
# So often something is drawn again before the lines that the cursor did not come to have passed.
REDRAWN = 20
_MOVES = re.compile(r"\r|\n|\x1b\[([0-9;?]*)([@-~])|\x1b[78=>]")


def moves(text: str) -> bool:
    """Whether text does more than follow what came before it. (Colours alone do not.)"""
    if "\r" in text:
        return True
    return "\x1b" in text and any(move.group(2) not in (None, "m") for move in _MOVES.finditer(text))


class Screen:
    """Lines under a cursor: `write` moves it, `text` is what stands there, `passed` what stood above."""

    __slots__ = (
        "_fresh", "_have_passed", "_lines", "_passed", "_redrawn", "_returning", "_row", "_top", "_top_before",
        "dropped", "longest",
    )  # fmt: skip

    def __init__(self, longest: int) -> None:
        self._lines = [""]
        self._row = 0
        self._fresh = False  # what is written next begins its line anew
        self._passed: list[str] = []
        self._have_passed = False
        self._returning = False  # the cursor has gone back to draw, and nothing is drawn yet
        self._redrawn = self._top = self._top_before = 0  # how often lately, and the highest lines that it was at
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
        """What can be read, without blank lines before and after it."""
        return "\n".join(line.rstrip() for line in self._lines).strip("\n")

    def passed(self) -> list[str]:
        """The lines that have passed since this was asked last, without blank ones."""
        passed, self._passed = self._passed, []
        return passed

    def _put(self, text: str) -> None:
        # Blanks are drawn over a line to erase it before what comes next; alone they are not its last state.
        if not text or (self._fresh and not text.strip()):
            return
        self._returning = False
        line = text if self._fresh else self._lines[self._row] + text
        self._fresh = False
        if len(line) > self.longest:
            self.dropped += len(line) - self.longest
            line = line[: self.longest]
        self._lines[self._row] = line

    def _move(self, whole: str, argument: str | None, kind: str | None) -> None:
        if whole == "\r":
            self._return(self._row)
            self._fresh = True
        elif whole == "\n":
            self._go(self._row + 1)
        elif kind == "m":
            # A colour that is set before the line is drawn again belongs to what is drawn, not to what was there.
            if not self._fresh and len(self._lines[self._row]) + len(whole) <= self.longest:
                self._lines[self._row] += whole
        elif kind in ("A", "F"):
            self._return(self._row - _number(argument))
        elif kind in ("B", "E"):
            self._go(self._row + _number(argument))
        elif kind in ("H", "f"):
            self._return(self._row)
            self._go(_number((argument or "").partition(";")[0]) - 1)
        elif kind == "G":
            self._fresh = self._fresh or _number(argument) == 1
        elif kind == "K" and (argument == "2" or (self._fresh and argument in ("", "0"))):
            self._lines[self._row] = ""
        elif kind == "J" and argument in ("", "0"):
            del self._lines[self._row + 1 :]
            if self._fresh:
                self._lines[self._row] = ""
        elif kind == "J":
            self._lines[:] = [""]
            self._row = 0

    def _go(self, row: int) -> None:
        self._row = max(row, 0)
        while self._row >= len(self._lines):
            self._lines.append("")
        if len(self._lines) > MOST_LINES:
            self._let_pass(len(self._lines) - MOST_LINES)
        self._top = min(self._top, self._row)
        self._fresh = bool(self._lines[self._row])

    def _return(self, row: int) -> None:
        """The cursor goes back, in one step or in many, to draw something again."""
        if not self._returning:
            self._returning = True
            self._redrawn += 1
            if self._redrawn >= REDRAWN:
                above = min(self._top, self._top_before)
                self._top_before, self._top, self._redrawn = self._top, self._row, 0
                self._let_pass(above)
                row -= above
        if row < 0 and self._have_passed:  # it comes to what had passed: that is there again, and not known any more
            self._lines[:0] = [""] * -row
            row = 0
        self._go(row)

    def _let_pass(self, count: int) -> None:
        if count <= 0:
            return
        self._have_passed = True
        gone = self._lines[:count]
        del self._lines[:count]
        self._passed += [line.rstrip() for line in gone if line.strip()]
        self._row = max(self._row - count, 0)
        self._top, self._top_before = max(self._top - count, 0), max(self._top_before - count, 0)


def _number(argument: str | None) -> int:
    """Of a move. (There is none by no lines, and more than a display has are as good as any number.)"""
    if not argument or not argument.isdecimal():
        return 1
    return MOST_LINES if len(argument) > 4 else min(max(int(argument), 1), MOST_LINES)
