"""Bytes of values that hold a secret: encrypted before they are kept, and opened when they are read.

What is sealed brings its secrets along: a process that reads it, a day later, must mask what it has not been told.
"""

from __future__ import annotations

import pickle
from typing import Any

from ..vault import Vault
from .masking import MASKER

PREFIX = "sealed/"


def is_secret(data: bytes) -> bool:
    """Whether bytes may not be kept as they are."""
    return MASKER.active and MASKER.holds(data)


def seal(serializer: str, data: bytes, vault: Vault, plain: bytes | None = None) -> tuple[str, bytes]:
    """The serializer's name and the bytes to be kept. `plain` are others that show the secrets, where these are, say,
    compressed. Raises what keeps the vault from sealing."""
    secrets = MASKER.secrets_in(data if plain is None else plain)
    return PREFIX + serializer, vault.seal(pickle.dumps((secrets, data)))


def unseal(serializer: str, data: bytes, vault: Vault, what: str) -> tuple[str, bytes]:
    """The reverse; what was never sealed is given as it is. Raises `DecryptionError` and `ConfigurationError`."""
    if not serializer.startswith(PREFIX):
        return serializer, data
    opened: Any = pickle.loads(vault.open(data, what))
    secrets, data = opened
    for secret in secrets:
        MASKER.add(secret)
    return serializer.removeprefix(PREFIX), data
