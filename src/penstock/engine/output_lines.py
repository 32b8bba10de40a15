"""Lines of what was written to a descriptor by whoever: bytes as they come, in pieces of any size."""

from __future__ import annotations

import codecs
from typing import Any

from ..domain.levels import LEVELS
from .context import RunContext
from .masking import MASKER
from .printed import OpenText
from .runlog import say
from .screen import moves


class OutputLines:
    """`stream` is the descriptor's name, `shown` whether the terminal has what is written here already."""

    def __init__(self, stream: str, shown: bool) -> None:
        self._stream = stream
        self._shown = shown
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._owner: RunContext[Any] | None = None
        self._open: OpenText | None = None

    def write(self, owner: RunContext[Any] | None, data: bytes) -> None:
        """Bytes that `owner` wrote; of nobody's nothing is kept."""
        if owner is not self._owner:
            self._finish()
            self._owner = owner
        text = self._decoder.decode(data)
        if owner is None:
            return
        for line in _lines(text):
            self._add(owner, line)

    def has_ended(self) -> bool:
        """Whether there is a display that is done; one cannot know before something else comes."""
        return self._open is not None and self._open.ended()

    def finish(self, owner: RunContext[Any] | None) -> None:
        """What has no end of line is a line now: `owner`, if it was its own, has ended (None: whoever's it is)."""
        if owner is None or owner is self._owner:
            self._finish()

    def _add(self, owner: RunContext[Any], piece: str) -> None:
        held = self._open
        if held is not None and held.ended() and not moves(piece):
            self._finish()
            held = None
        ends = piece.endswith("\n")
        if held is None and ends and "\r" not in piece and "\x1b" not in piece:
            self._say(owner, piece[:-1], 0)
            return
        if held is None:
            held = self._open = OpenText(self._shown)
        if held.screen is None and piece.endswith("\r\n"):
            piece = piece[:-2] + "\n"
        drawn = held.screen is not None or moves(piece)
        settings = owner.runtime.settings
        held.add(
            piece if drawn or not ends else piece[:-1],
            MASKER.reach(settings.logging_max_line_bytes),
        )
        for line in held.passed():
            self._say(owner, line, 0)
        if ends and not drawn:
            self._finish()

    def _finish(self) -> None:
        held, self._open = self._open, None
        if held is None or self._owner is None:
            return
        text = held.text()
        if text or held.screen is None:
            self._say(self._owner, text, held.dropped)

    def _say(self, owner: RunContext[Any], text: str, dropped: int) -> None:
        level = 20 if self._stream == "stdout" else LEVELS[owner.runtime.settings.logging_stderr_level]
        say(owner, level, text, shown=self._shown, dropped=dropped)


def _lines(text: str) -> list[str]:
    """Pieces that end with each end of line. (`splitlines` knows many other ends.)"""
    pieces = text.split("\n")
    last = pieces.pop()
    lines = [f"{piece}\n" for piece in pieces]
    return [*lines, last] if last else lines
