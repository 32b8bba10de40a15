from __future__ import annotations

from .fixtures import disconnected, gate, programs, record, threads_allowed

__all__ = ["disconnected", "gate", "programs", "record", "threads_allowed"]
