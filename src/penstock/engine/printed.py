"""What the code of a run writes to stdout and stderr, made into lines of its log.

Text becomes a line when its end comes, in one piece or in many; several lines printed at once stay one record. Text
that moves the cursor (bars, spinners) is folded into its last state. Of what is too long for a line no more is held
than is needed to mask a secret that the cut would fall into.

The terminal shows a line in the form of log lines. What cannot wait for its end, because somebody watches it being
drawn, is passed on to the terminal as it was written, and its line is then stored only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import get_ident
from types import FrameType
from typing import Any, Protocol

from ..domain.logs import LEVELS
from . import console
from .context import RunContext
from .masking import MASKER
from .records import say_record
from .runlog import MARGIN, say
from .screen import Screen, moves

INFO, WARNING = 20, 30
# Up to so many characters pieces of a line are just put together.
SHORT = 4096


class Target(Protocol):
    """The stream that text was written to."""

    name: str

    def pass_on(self, text: str) -> None:
        """Writes to the stream itself, below any capture."""

    def is_terminal(self) -> bool: ...


class OpenText:
    """Text of one thread on one stream without its end yet; what is more than one short piece."""

    __slots__ = ("dropped", "parts", "screen", "shown", "size")

    def __init__(self, shown: bool) -> None:
        self.parts: list[str] = []
        self.size = 0
        self.dropped = 0
        self.screen: Screen | None = None
        self.shown = shown  # it was passed on to the terminal as it came

    def add(self, text: str, most: int) -> None:
        if self.screen is None and moves(text):
            self.screen = Screen(most)
            self.screen.write("".join(self.parts))
            self.parts.clear()
        if self.screen is not None:
            self.screen.write(text)
            self.dropped = self.screen.dropped
            return
        room = most - self.size
        if len(text) > room:
            self.dropped += len(text) - room
            text = text[:room]
        self.size += len(text)
        self.parts.append(text)

    def ended(self) -> bool:
        """Whether the text is whole. (Of a display one cannot know: the cursor may go up again.)"""
        return self.screen is not None and self.screen.at_line_end()

    def text(self) -> str:
        return "".join(self.parts) if self.screen is None else self.screen.text()


def write_text(context: RunContext[Any], target: Target, text: str, caller: FrameType) -> None:
    """Text that code of a run wrote; `caller` is the frame that did."""
    special = _SPECIAL.get(caller.f_code.co_name)
    if special is not None and caller.f_code.co_filename.replace("\\", "/").endswith(special[0]):
        special[1](context, target, text, caller)
        return
    partial = context.partial
    if partial is None:
        partial = context.partial = {}
    if context.runtime.settings.logging_quiet:
        target.pass_on(text)
    key = (get_ident(), target.name)
    held = partial.get(key)
    whole = text if held is None else held + text if type(held) is str else None
    if (
        whole is None
        or len(whole) > SHORT
        or "\r" in text
        or "\x1b" in text
        or (held is not None and text != "\n" and "\n" in held)
    ):
        _write_more(context, target, text, caller, key)
    elif whole[-1] != "\n":
        partial[key] = whole
    else:
        if held is not None:
            del partial[key]
        if partial:
            _release_ended(context, key)
        _line(context, target.name, whole[:-1], caller)


def _write_more(context: RunContext[Any], target: Target, text: str, caller: FrameType, key: tuple[int, str]) -> None:
    """As `write_text`, for what takes more than one short piece."""
    partial, settings = context.partial, context.runtime.settings
    assert partial is not None
    most = settings.logging_max_line_bytes + max(MARGIN, MASKER.longest)
    held = partial.get(key)
    if type(held) is OpenText and held.ended() and not moves(text):
        _close(context, key, caller)  # a display that is done
        held = None
    if type(held) is not OpenText:
        opened = OpenText(settings.logging_quiet)
        if type(held) is str:
            opened.add(held, most)
        held = partial[key] = opened
    if held.screen is None and "\n" in (before := held.text()):
        # Not the end of one print, after all: what stands before the last end of line are lines of their own.
        lines, _, rest = before.rpartition("\n")
        shown, partial[key] = held.shown, (held := OpenText(held.shown))
        held.add(rest, most)
        _line(context, target.name, lines, caller, shown)
    ends = text.endswith("\n")
    if text.endswith("\r\n"):
        text = text[:-2] + "\n"
    drawn = moves(text) or held.screen is not None
    if drawn and not held.shown and settings.logging_to_console and target.is_terminal():
        held.shown = True
        target.pass_on(held.text() + text)
    elif held.shown and not settings.logging_quiet:
        target.pass_on(text)
    held.add(text[:-1] if ends and not drawn else text, most)
    if ends and not drawn:
        _close(context, key, caller)


def flush_text(context: RunContext[Any], target: Target) -> None:
    """The code wants to have seen on the terminal what it wrote, though the line has no end yet."""
    partial, settings = context.partial, context.runtime.settings
    if not partial or not settings.logging_to_console or settings.logging_quiet or not target.is_terminal():
        return
    key = (get_ident(), target.name)
    held = partial.get(key)
    if type(held) is str:
        opened = partial[key] = OpenText(True)
        opened.add(held, len(held))
        target.pass_on(held)
    elif held is not None and not held.shown:
        held.shown = True
        target.pass_on(held.text())


def finish_text(context: RunContext[Any]) -> None:
    """The run ends: what was written without an end of line is a line now."""
    while context.partial:
        _close(context, next(iter(context.partial)), None)
    context.partial = None


def _release_ended(context: RunContext[Any], key: tuple[int, str]) -> None:
    """Displays of this thread that are done come before what it writes elsewhere."""
    partial = context.partial
    assert partial is not None
    for other, held in list(partial.items()):
        if other[0] == key[0] and other != key and type(held) is OpenText and held.ended():
            _close(context, other, None)


def _close(context: RunContext[Any], key: tuple[int, str], caller: FrameType | None) -> None:
    held = context.partial.pop(key, None) if context.partial else None
    if type(held) is str:
        _line(context, key[1], held, caller)
    elif held is not None:
        text = held.text()
        if text or not held.screen:
            _line(context, key[1], text, caller, held.shown, held.dropped)


def _line(
    context: RunContext[Any],
    stream: str,
    text: str,
    caller: FrameType | None,
    shown: bool = False,
    dropped: int = 0,
) -> None:
    runtime = context.runtime
    level = INFO if stream == "stdout" else LEVELS[runtime.settings.logging_stderr_level]
    shown = shown or runtime.settings.logging_quiet
    if caller is None:
        say(context, level, text, shown=shown, dropped=dropped)
        return
    code = caller.f_code
    say(
        context, level, text, file=code.co_filename, line=caller.f_lineno, function=code.co_name, shown=shown,
        dropped=dropped,
    )  # fmt: skip


# --- writers that know more of their text -----------------------------------------------------------------------


def _logged(context: RunContext[Any], target: Target, text: str, caller: FrameType) -> None:
    """A handler of the standard library's logging: the line has its record's level, logger and place, and the terminal
    shows it in the form that the program's own configuration gave it."""
    console.flush()
    target.pass_on(text)
    record: logging.LogRecord | None = caller.f_locals.get("record")
    if record is not None and not getattr(record, "penstock_taken", False):
        say_record(context, record, shown=True)


def _warned(context: RunContext[Any], target: Target, text: str, caller: FrameType) -> None:
    """`warnings.warn`, in Python's own form."""
    message = caller.f_locals.get("msg")
    if context.runtime.settings.logging_quiet:
        target.pass_on(text)
    say(
        context,
        WARNING,
        text.rstrip("\n"),
        file=getattr(message, "filename", None),
        line=getattr(message, "lineno", None),
        shown=context.runtime.settings.logging_quiet,
    )


Writer = Callable[[RunContext[Any], Target, str, FrameType], None]
# By the name of the function that writes, and the end of its file's name. (Not by its code: who records warnings puts
# another function in its place, perhaps just now.)
_SPECIAL: dict[str, tuple[str, Writer]] = {
    "emit": ("logging/__init__.py", _logged),
    "_showwarnmsg_impl": ("warnings.py", _warned),
}
