"""The process's secrets: all that is recorded or shown passes by here first.

A forked child keeps what was known; nothing of it is a lock, so it is whole whenever the fork happened.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..domain.masking import Learned, Masker

MASKER = Masker()
_heeded: Any = None


class SecretSettings(Protocol):
    """The settings that say what is secret, and those that are."""

    @property
    def api_key(self) -> str | None: ...
    @property
    def encryption_key(self) -> str | None: ...
    @property
    def database_url(self) -> str | None: ...
    @property
    def database_direct_url(self) -> str | None: ...
    @property
    def logging_mask_patterns(self) -> tuple[str, ...]: ...


def heed(settings: SecretSettings) -> None:
    """From now on the settings' own secrets are masked, and what fits their patterns."""
    global _heeded
    if settings is _heeded:
        return
    keys = (settings.encryption_key or "").replace(",", " ").split()
    urls = (settings.database_url, settings.database_direct_url)
    for key in (settings.api_key, *keys, *(password for url in urls for password in _passwords(url))):
        if key:
            MASKER.add(key)
    MASKER.hold_patterns(settings.logging_mask_patterns)
    _heeded = settings


def restore(learned: list[Learned]) -> None:
    """What was learned since `MASKER.learned()` gave this is forgotten."""
    global _heeded
    if len(MASKER.learned()) != len(learned) or _heeded is not None:
        MASKER.__init__()  # type: ignore[misc]
        MASKER.learn(learned)
        _heeded = None


def _passwords(url: str | None) -> tuple[str, ...]:
    """The password in a database's URL, as it stands there and as it is."""
    if not url or "@" not in url:
        return ()
    from urllib.parse import unquote

    _, _, written = url.partition("://")[2].rpartition("@")[0].partition(":")
    return (written, unquote(written))


def mask_secret(value: Any) -> bool:
    """Has a value masked from now on, wherever this process would log or record it, in whatever form.

    `value` is text, bytes, or one of pydantic's secrets. Gives False for one that is not masked, because it would be
    found in every other word: fewer than four characters, or blank.

    Example::

        mask_secret(os.environ["DB_PASSWORD"])
    """
    clear = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    if isinstance(clear, bytearray | memoryview):
        clear = bytes(clear)
    if not isinstance(clear, str | bytes):
        raise TypeError(f"mask_secret() takes text, bytes or a SecretStr; it was given a {type(clear).__name__}.")
    return MASKER.add(clear)


def mask_pattern(regex: str) -> None:
    """Has all that fits a regular expression masked from now on: the group named `secret`, if there is one, else the
    whole match. The setting PENSTOCK_LOGGING_MASK_PATTERNS does the same for all programs.

    Raises `re.error` for what is no regular expression, `TypeError` for what is not text.

    Example::

        mask_pattern(r"token=(?P<secret>[0-9a-f]{32})")
    """
    if not isinstance(regex, str):
        raise TypeError(f"mask_pattern() takes a regular expression as text; it was given a {type(regex).__name__}.")
    MASKER.add_pattern(regex)
