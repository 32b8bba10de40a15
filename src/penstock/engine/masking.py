"""The process's secrets: all that is recorded or shown passes by here first.

A forked child keeps what was known; nothing of it is a lock, so it is whole whenever the fork happened.
"""

from __future__ import annotations

from ..domain.masking import Masker

MASKER = Masker()
