"""The forms in which a secret turns up in what programs write: as it is, in other characters, in base64.

Law: pure. What is not listed here, and is not taken back by `escapes`, is not found: a secret that was split, reversed,
hashed or encrypted looks like any other text.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from unicodedata import normalize

# Shorter values would be found in every other word.
SHORTEST = 4
# Base64 of less leaves too few characters that are the secret's own.
SHORTEST_IN_BASE64 = 8


def forms_of(value: str | bytes) -> set[bytes]:
    """All forms, as bytes: those of text in UTF-8. None of a value that is too short, or blank, or of asterisks only,
    which are what a secret becomes."""
    text = value if isinstance(value, str) else value.decode("latin-1")
    if len(value) < SHORTEST or not text.replace("*", "").replace("\0", "").strip():
        return set()
    found = set(_raw(value))
    for text in _texts_of(value):
        data = text.encode("utf-8", "surrogatepass")
        found |= {data, data.replace(b" ", b"+")}  # the latter in a form that is sent by HTTP
        found |= {data.replace(quote, quote * 2) for quote in (b"'", b'"')}  # in SQL; in CSV
        found.add(data.replace(b"'", b"'\"'\"'"))  # in a shell
        found.add(data.decode("latin-1").encode())  # bytes that were taken for Latin-1, as happens
        found.update(_in_base64(data))
    return {form for form in found if len(form) >= SHORTEST and form.strip(b"*+\0 \t\r\n")}


def _raw(value: str | bytes) -> Iterator[bytes]:
    """As it lies in files of bytes: in arrays of numpy, say."""
    if isinstance(value, bytes):
        yield value
        yield from _in_base64(value)
        return
    for encoding in ("latin-1", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        with contextlib.suppress(UnicodeEncodeError):
            yield value.encode(encoding)


def _texts_of(value: str | bytes) -> list[str]:
    """A value as text: bytes as UTF-8 (what is none in it, in each way that Python decodes it) and as Latin-1; what is
    written as lines of their own; composed and decomposed."""
    if isinstance(value, str):
        wholes = [value]
    else:
        wholes = [value.decode(errors=errors) for errors in ("surrogateescape", "replace")]
        wholes.append(value.decode("latin-1"))
    found: dict[str, None] = {}
    for whole in wholes:
        for text in (whole, whole.strip(), *whole.splitlines(), *(line.strip() for line in whole.splitlines())):
            for each in (text, normalize("NFC", text), normalize("NFD", text)):
                if len(each) >= SHORTEST and each.strip():
                    found[each] = None
    return list(found)


def _in_base64(data: bytes) -> Iterator[bytes]:
    """The characters that come of the data alone, wherever it begins in the group of three bytes."""
    if len(data) < SHORTEST_IN_BASE64:
        return
    for before in range(3):
        whole = base64.b64encode(bytes(before) + data).rstrip(b"=")
        # A character has six bits; those that hold bits of a neighbour may be any. (At the end there may be none.)
        begin, end = (before * 8 + 5) // 6, (before + len(data)) * 8 // 6
        for own in (whole[begin:end], whole[begin:]):
            yield own
            yield own.translate(_URL_SAFE)


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
