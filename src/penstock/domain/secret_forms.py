"""The forms in which a secret turns up in what programs write: as it is, escaped, quoted, encoded.

Law: pure. What is not listed here is not found: a secret that was split, reversed, hashed or encrypted looks like any
other text.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from unicodedata import normalize
from urllib.parse import quote, quote_plus

# Shorter values would be found in every other word.
SHORTEST = 4
# Base64 of less leaves too few characters that are the secret's own.
SHORTEST_IN_BASE64 = 8

# What is left as it is in an URL: by Python (twice), by JavaScript, by RFC 3986 within a query.
_LEFT_IN_URLS = ("", "/", "!'()*", "!$&'()*+,;=:@/?")


def texts_of(value: str | bytes) -> list[str]:
    """A value as it may be written: bytes as UTF-8 (what is none in it, in each way that Python decodes it) and as
    Latin-1; the parts of a value that are written as lines of their own; composed and decomposed."""
    if isinstance(value, str):
        wholes = [value]
    else:
        wholes = [value.decode(errors=errors) for errors in ("surrogateescape", "replace", "backslashreplace")]
        wholes.append(value.decode("latin-1"))
    found: dict[str, None] = {}
    for whole in wholes:
        for text in (whole, whole.strip(), *whole.splitlines(), *(line.strip() for line in whole.splitlines())):
            for each in (text, normalize("NFC", text), normalize("NFD", text)):
                if len(each) >= SHORTEST and each.strip():
                    found[each] = None
    return list(found)


def forms_of(value: str | bytes) -> set[bytes]:
    """All forms, as bytes: those of text in UTF-8. A form of asterisks only is none: it is what a secret becomes."""
    found = set(_raw(value))
    for text in texts_of(value):
        found.update(form.encode("utf-8", "surrogatepass") for form in _written(text))
        found.update(_in_base64(text.encode("utf-8", "surrogatepass")))
    return {form for form in found if len(form) >= SHORTEST and form.strip(b"*\x00 \t\r\n")}


def _raw(value: str | bytes) -> Iterator[bytes]:
    """Encodings in which a value lies in files of bytes: in arrays of numpy, say."""
    if isinstance(value, bytes):
        yield value
        yield from _in_base64(value)
        return
    for encoding in ("latin-1", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        try:
            yield value.encode(encoding)
        except UnicodeEncodeError:
            continue


def _written(text: str) -> Iterator[str]:
    yield text
    yield from _in_urls(text)
    for escaped in {*_in_json(text), *_in_python(text)}:
        yield escaped
        if "\\" in escaped:
            yield escaped.replace("\\", "\\\\")  # written once more: JSON in a repr, a repr in JSON


def _in_urls(text: str) -> Iterator[str]:
    for safe in _LEFT_IN_URLS:
        for quoted in (quote(text, safe, errors="surrogatepass"), quote_plus(text, safe, errors="surrogatepass")):
            yield quoted
            yield _lower_hex(quoted)


def _lower_hex(quoted: str) -> str:
    first, *rest = quoted.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _in_json(text: str) -> Iterator[str]:
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]


def _in_python(text: str) -> Iterator[str]:
    """As `repr` and `ascii` write it in a longer text, which decides whether its quotes are escaped."""
    data = text.encode("utf-8", "surrogatepass")
    for body in (_between_quotes(repr(text + "'\"")), _between_quotes(ascii(text + "'\"")), _bytes_body(data)):
        yield body
        yield body.replace("\\'", "'")
        yield body.replace('"', '\\"')
    yield text.encode("ascii", "backslashreplace").decode()
    if text.isascii():
        return
    try:
        body = _bytes_body(text.encode("latin-1"))
    except UnicodeEncodeError:
        return
    yield body
    yield body.replace("\\'", "'")


def _bytes_body(data: bytes) -> str:
    return _between_quotes(repr(data + b"'\"")[1:])


def _between_quotes(written: str) -> str:
    r"""Of a text that ends with both quotes, and so is written with `'` around it and `\'` in it."""
    return written[1:-1].removesuffix("\\'\"")


def _in_base64(data: bytes) -> Iterator[bytes]:
    """The characters that come of the data alone, wherever it begins in the group of three bytes."""
    if len(data) < SHORTEST_IN_BASE64:
        return
    for before in range(3):
        whole = base64.b64encode(bytes(before) + data)
        # A character has six bits; those that hold bits of a neighbour may be any.
        own = whole[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        yield own
        yield own.translate(_URL_SAFE)


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
