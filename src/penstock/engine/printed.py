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
from threading import RLock, get_ident
from types import FrameType
from typing import Any, Protocol

from ..domain.levels import LEVELS
from . import console
from .context import RunContext
from .masking import MASKER
from .records import say_record
from .runlog import say
from .screen import Screen, moves

INFO, WARNING = 20, 30
# Up to so many characters pieces of a line are just put together.
SHORT = 4096
# In the place of a thread, for the display that is drawn on a stream. (No thread has this number.)
DISPLAY = 0

# A file, a line and a function.
Place = tuple[str | None, int | None, str | None]
NOWHERE: Place = (None, None, None)


class Target(Protocol):
    """The stream that text was written to."""

    name: str

    def pass_on(self, text: str) -> None:
        """Writes to the stream itself, below any capture."""

    def is_watched(self) -> bool:
        """Whether somebody sees what is drawn there while it is drawn."""


class OpenText:
    """Text on one stream without its end yet, what is more than one short piece; of one thread, or a display, which
    several may draw."""

    __slots__ = ("_lock", "_waiting", "dropped", "parts", "place", "screen", "several", "shown", "size")

    def __init__(self, shown: bool) -> None:
        self.parts: list[str] = []
        self.several = False  # an end of line stands in it
        self.size = 0
        self.dropped = 0
        self.screen: Screen | None = None
        self.shown = shown  # it was passed on to the terminal as it came
        self.place: Place = NOWHERE  # where it was written last
        self._lock = RLock()
        self._waiting: list[str] = []

    def add(self, text: str, most: int) -> None:
        if self.screen is not None or moves(text):
            self._draw(text, most)
            return
        room = most - self.size
        if len(text) > room:
            self.dropped += len(text) - room
            text = text[:room]
        self.size += len(text)
        self.several = self.several or "\n" in text
        self.parts.append(text)

    def _draw(self, text: str, most: int) -> None:
        with self._lock:
            self._waiting.append(text)
            if len(self._waiting) > 1:  # a finalizer or a signal's handler draws while this thread does
                return
            if self.screen is None:
                self.screen = Screen(most)
                self.screen.write("".join(self.parts))
                self.parts.clear()
            while self._waiting:
                self.screen.write(self._waiting[0])
                del self._waiting[0]
            self.dropped = self.screen.dropped

    def passed(self) -> list[str]:
        """Lines above a display that nobody draws again."""
        return [] if self.screen is None else self.screen.passed()

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
        if partial and _meets_display(context, target, key, whole, caller):
            return
        _line(context, target.name, whole[:-1], caller)


def _write_more(context: RunContext[Any], target: Target, text: str, caller: FrameType, key: tuple[int, str]) -> None:
    """As `write_text`, for what takes more than one short piece."""
    partial, settings = context.partial, context.runtime.settings
    assert partial is not None
    most = MASKER.reach(settings.logging_max_line_bytes)
    held = _held(context, key, moves(text), most)
    if held.ended() and not moves(text):
        _close(context, key)  # a display that is done
        held = partial[key] = OpenText(settings.logging_quiet)
    if held.screen is None and held.several:
        # Not the end of one print, after all: what stands before the last end of line are lines of their own.
        lines, _, rest = held.text().rpartition("\n")
        shown, partial[key] = held.shown, (held := OpenText(held.shown))
        held.add(rest, most)
        _line(context, target.name, lines, caller, shown)
    ends = text.endswith("\n")
    if text.endswith("\r\n"):
        text = text[:-2] + "\n"
    drawn = moves(text) or held.screen is not None
    if drawn and not held.shown and settings.logging_to_console and target.is_watched():
        held.shown = True
        target.pass_on(held.text() + text)
    elif held.shown and not settings.logging_quiet:
        target.pass_on(text)
    held.place = (caller.f_code.co_filename, caller.f_lineno, caller.f_code.co_name)
    held.add(text[:-1] if ends and not drawn else text, most)
    if drawn:
        partial[DISPLAY, target.name] = held
        for line in held.passed():
            _say(context, target.name, line, held.place, held.shown)
    elif ends:
        _close(context, key)


def _held(context: RunContext[Any], key: tuple[int, str], draws: bool, most: int) -> OpenText:
    """What this thread writes to; the stream's display, if it draws and others have begun to."""
    partial = context.partial
    assert partial is not None
    held = partial.get(key)
    display = partial.get((DISPLAY, key[1])) if draws else None
    if type(held) is OpenText and (display is None or held.screen is not None):
        return held
    found: OpenText = display or OpenText(context.runtime.settings.logging_quiet)
    if held is not None:
        found.add(held if type(held) is str else held.text(), most)
    partial[key] = found
    return found


def flush_text(context: RunContext[Any], target: Target) -> None:
    """The code wants to have seen on the terminal what it wrote, though the line has no end yet."""
    partial, settings = context.partial, context.runtime.settings
    if not partial or not settings.logging_to_console or settings.logging_quiet or not target.is_watched():
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
    # (A thread that goes on writing may be anywhere in here: the dictionary stays.)
    while context.partial:
        _close(context, next(iter(context.partial)))


def _meets_display(
    context: RunContext[Any], target: Target, key: tuple[int, str], whole: str, caller: FrameType
) -> bool:
    """Displays that are done come before a line that is written elsewhere. A bare end of line, where others draw,
    is most likely of what they draw: then it is added there."""
    partial = context.partial
    assert partial is not None
    display = partial.get((DISPLAY, target.name))
    if display is not None and whole == "\n":
        partial[key] = display
        _write_more(context, target, whole, caller, key)
        return True
    for other, held in list(partial.items()):
        if other[0] in (key[0], DISPLAY) and other != key and type(held) is OpenText and held.ended():
            _close(context, other)
    return False


def _close(context: RunContext[Any], key: tuple[int, str]) -> None:
    partial = context.partial
    held = partial.pop(key, None) if partial else None
    if type(held) is str:
        _say(context, key[1], held, NOWHERE, False)
    elif held is not None and partial is not None:
        if held.screen is not None:
            for other in [other for other, each in list(partial.items()) if each is held]:
                partial.pop(other, None)
        text = held.text()
        if text or not held.screen:
            _say(context, key[1], text, held.place, held.shown, held.dropped)


def _line(context: RunContext[Any], stream: str, text: str, caller: FrameType, shown: bool = False) -> None:
    code = caller.f_code
    _say(context, stream, text, (code.co_filename, caller.f_lineno, code.co_name), shown)


def _say(context: RunContext[Any], stream: str, text: str, place: Place, shown: bool, dropped: int = 0) -> None:
    settings = context.runtime.settings
    level = INFO if stream == "stdout" else LEVELS[settings.logging_stderr_level]
    file, line, function = place
    shown = shown or settings.logging_quiet
    say(context, level, text, file=file, line=line, function=function, shown=shown, dropped=dropped)


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


def _handed_on(context: RunContext[Any], target: Target, text: str, caller: FrameType) -> None:
    """A function stands in the place of `print`, as Ray's does: who called it has written."""
    write_text(context, target, text, caller.f_back or caller)


Writer = Callable[[RunContext[Any], Target, str, FrameType], None]
# By the name of the function that writes, and the end of its file's name. (Not by its code: who records warnings puts
# another function in its place, perhaps just now.)
_SPECIAL: dict[str, tuple[str, Writer]] = {
    "emit": ("logging/__init__.py", _logged),
    "_showwarnmsg_impl": ("warnings.py", _warned),
    "safe_print": ("ray/experimental/tqdm_ray.py", _handed_on),
}
