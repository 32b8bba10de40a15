"""What stands before stdout and stderr while runs are captured: it asks whose text it is that code writes.

Text of a run with `log_prints` goes to the run's log; all else, and all that is no text, is the stream's own affair.
Code that holds on to a captured stream after the last run still writes through it.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable
from threading import get_ident
from types import FrameType
from typing import Any

from ..engine import console, live
from ..engine.context import RunContext, current
from ..engine.printed import flush_text, write_text


class CapturedStream:
    """Stands before a stream: what is written asks whose it is, all else is the stream's own."""

    def __init__(self, original: Any, name: str) -> None:
        self.penstock_original = original
        # where text goes that is not captured, or was: another than the original while descriptors are captured
        self.penstock_below = original
        self.penstock_options: dict[str, Any] = {}  # for the original, as soon as text goes there
        self.name = name

    def write(self, text: str) -> int:
        context = current.get()
        if context is None or not context.log_prints or not isinstance(text, str):
            self._give_way()
            return self._write_below(text)
        if text:
            write_text(context, self, text, sys._getframe(1))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        context = current.get()
        if context is None or not context.log_prints:
            self._give_way()
            self.penstock_below.writelines(lines)
            return
        for line in lines:
            if line:
                write_text(context, self, line, sys._getframe(1))

    def flush(self) -> None:
        context = current.get()
        if context is not None and context.log_prints:
            flush_text(context, self)
        self.penstock_below.flush()

    @property
    def buffer(self) -> Any:
        return CapturedBuffer(self, self.penstock_below.buffer)

    def _give_way(self) -> None:
        """What was written before comes before."""
        if live.catches_up is not None:
            live.catches_up()
        console.flush()

    def _write_below(self, text: str) -> int:
        if console.has_foot and isinstance(text, str):
            console.pass_on(self.penstock_below, text)
            return len(text)
        below = self.penstock_below
        try:
            return below.write(text)  # type: ignore[no-any-return]
        except ValueError:  # the capture has ended just now, in another thread
            if below is self.penstock_below:
                raise
            return self.penstock_below.write(text)  # type: ignore[no-any-return]

    def reconfigure(self, **options: Any) -> None:
        """As of the stream itself, which is asked again when it is what is written to again: while descriptors are
        captured, it cannot be."""
        self.penstock_below.reconfigure(**options)
        if self.penstock_below is not self.penstock_original:
            self.penstock_options |= options

    def pass_on(self, text: str) -> None:
        self._give_way()
        console.pass_on(self.penstock_below, text)

    def is_watched(self) -> bool:
        return console.is_watched(self.penstock_original)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.penstock_original, name)

    def __iter__(self) -> Any:
        return iter(self.penstock_original)

    def __enter__(self) -> CapturedStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.penstock_original.flush()


class CapturedBuffer:
    """The bytes side of a captured stream: bytes of a run become text, those that are none a replacement."""

    def __init__(self, stream: CapturedStream, original: Any) -> None:
        self._stream = stream
        self._original = original

    def write(self, data: Any) -> int:
        context = current.get()
        if context is None or not context.log_prints:
            self._stream._give_way()
            self._stream.penstock_below.flush()
            return self._original.write(data)  # type: ignore[no-any-return]
        raw = bytes(data)
        text = decode(context, self._stream.name, raw)
        if text:
            write_text(context, self._stream, text, _caller())
        return len(raw)

    def writelines(self, lines: Iterable[Any]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def decode(context: RunContext[Any], stream: str, data: bytes) -> str:
    """Bytes as text; a character that was begun is held until its rest comes."""
    decoders = context.decoders
    if decoders is None:
        decoders = context.decoders = {}
    key = (get_ident(), stream)
    decoder = decoders.get(key)
    if decoder is None:
        decoder = decoders[key] = codecs.getincrementaldecoder("utf-8")("replace")
    return decoder.decode(data)


def _caller() -> FrameType:
    """The frame that wrote: the first that is not of this file."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    assert frame is not None
    return frame
