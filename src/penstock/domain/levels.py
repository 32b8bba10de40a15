"""Levels of log lines, by their names and numbers. Loads nothing: settings are read before all else."""

from __future__ import annotations

# Numbers are those of the standard library's logging, which users know; logging itself is not imported for them.
LEVELS: dict[str, int] = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
LEVEL_NAMES: dict[int, str] = {number: name for name, number in LEVELS.items()}
_ALIASES = {"WARN": "WARNING", "FATAL": "CRITICAL"}


def known_level(text: str) -> str | None:
    """The name of a level as it is written here (`WARNING` for `warn`); None when there is none."""
    name = text.strip().upper()
    name = _ALIASES.get(name, name)
    return name if name in LEVELS else None


def level_name(level: int) -> str:
    """INFO for 20; a number between the named ones keeps its number: `Level 25`."""
    return LEVEL_NAMES.get(level) or f"Level {level}"
