"""`tags(...)`: tags for all runs that begin inside a block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..engine.context import current_tags
from .definition import check_tags


@contextlib.contextmanager
def tags(*new_tags: str) -> Iterator[set[str]]:
    """Adds tags to every flow run and task run that begins in the block; blocks nest.

    Example::

        with tags("nightly", "etl"):
            my_flow()
    """
    together = current_tags.get() | check_tags(new_tags, "tags(...)")
    token = current_tags.set(together)
    try:
        yield set(together)
    finally:
        current_tags.reset(token)
