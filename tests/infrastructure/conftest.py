from __future__ import annotations

from ..flows.fixtures import disconnected, gate, programs, record, threads_allowed

__all__ = ["disconnected", "gate", "programs", "record", "threads_allowed"]
