"""Parameters and variables as people write them on the command line."""

from __future__ import annotations

import json
import sys
from typing import Any

from penstock.domain.errors import ParameterError


def params_object(text: str | None) -> dict[str, Any]:
    """A JSON object; `-` reads it from stdin. Raises `ParameterError`."""
    if text is None:
        return {}
    try:
        found = json.loads(sys.stdin.read() if text == "-" else text)
    except ValueError as error:
        raise ParameterError(f"--params is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise ParameterError("--params is one JSON object, in braces.")
    return found


def pairs(texts: tuple[str, ...]) -> dict[str, Any]:
    """`name=value`, where the value is JSON, or else text. Raises `ParameterError`."""
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise ParameterError(f"{text!r} is not NAME=VALUE.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
