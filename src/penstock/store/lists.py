"""Lists in statements: long ones in pieces, in few sizes, so that there are few texts, each of which stays prepared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .contract import Value

MOST = 256


def pieces(values: Iterable[Value]) -> Iterator[tuple[str, list[Value]]]:
    """`(?,?,…)` and its values, in sizes of powers of two."""
    waiting = list(values)
    start = 0
    while start < len(waiting):
        size = min(1 << ((len(waiting) - start).bit_length() - 1), MOST)
        yield f"({','.join('?' * size)})", waiting[start : start + size]
        start += size
