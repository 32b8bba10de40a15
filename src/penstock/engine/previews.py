"""What people are shown of a value: short, quick, and not by running code of the value's own, which may be slow.

Law: secrets are masked before a text is shortened, so that no half of one is left at its end.
"""

from __future__ import annotations

from typing import Any

from .masking import MASKER

LONGEST = 200
_LARGE = 10**100
_SCALARS = (int, float, bool, type(None), complex)
_CONTAINERS: dict[type, str] = {list: "[]", tuple: "()", set: "{}", frozenset: "{}", dict: "{}"}


def preview(value: Any, longest: int = LONGEST) -> str:
    """A text of at most `longest` characters: small values as Python writes them, large ones by kind and size."""
    kind = type(value)
    if kind in _SCALARS:
        text = repr(value) if kind is not int or -_LARGE < value < _LARGE else "a very large int"
        return _shorten(MASKER.text(text), longest)
    if kind is str:
        text = repr(MASKER.head(value, longest))
        return _shorten(text, longest) if len(value) <= longest else f"{text}…"
    if kind is bytes:
        return (
            _shorten(_bytes(value, 60), longest) if len(value) <= 60 else f"{_bytes(value, 40)}… ({len(value):,} bytes)"
        )
    if kind in _CONTAINERS:
        return _container(value, _CONTAINERS[kind], longest)
    try:
        shape = getattr(value, "shape", None)
    except Exception:  # a property of the value's own class
        shape = None
    if isinstance(shape, tuple) and len(shape) < 9:
        return f"<{kind.__name__} {'×'.join(str(size) for size in shape)}>"
    if callable(value) and hasattr(value, "__qualname__"):
        return f"<{value.__qualname__}>"
    return f"<{kind.__module__}.{kind.__qualname__}>" if kind.__module__ != "builtins" else f"<{kind.__qualname__}>"


def _container(value: Any, brackets: str, longest: int) -> str:
    parts: list[str] = []
    length = 0
    items = value.items() if isinstance(value, dict) else value
    for item in items:
        room = longest - length - 12
        if room < 8 or len(parts) == 20:
            parts.append("…")
            break
        part = (
            f"{preview(item[0], room // 2)}: {preview(item[1], room // 2)}"
            if isinstance(value, dict)
            else preview(item, room)
        )
        parts.append(part)
        length += len(part) + 2
    if parts and parts[-1] == "…":
        return f"{brackets[0]}{', '.join(parts)}{brackets[1]} ({len(value):,} items)"
    return f"{brackets[0]}{', '.join(parts)}{brackets[1]}"


def _bytes(value: bytes, most: int) -> str:
    """The first bytes, as Python writes them."""
    if not MASKER.active:
        return repr(value[:most])
    text = repr(value[: most + MASKER.longest])
    shown = MASKER.head(text, len(repr(value[:most])) - 1)
    return shown.removesuffix(text[-1]) + text[-1]


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def previews(parameters: dict[str, Any]) -> dict[str, str]:
    """Parameter names and what people are shown of their values."""
    return {name: preview(value) for name, value in parameters.items()}
