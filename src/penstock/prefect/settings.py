"""`prefect.settings`: settings under Prefect's names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..moving import names
from ..settings import SETTINGS, Setting, Settings, current
from ..settings import temporary_settings as ours
from . import finder


def setting(name: str) -> Setting[Any]:
    """`PREFECT_API_URL` as a setting of ours. Raises `NameNotOffered`."""
    found = SETTINGS.get(names.setting_of(name))
    if found is None:
        raise finder.not_offered(f"prefect.settings.{name}")
    return found


@contextlib.contextmanager
def temporary_settings(
    updates: Mapping[Any, Any] | None = None,
    set_defaults: Mapping[Any, Any] | None = None,
    restore_defaults: Iterable[Any] | None = None,
) -> Iterator[Settings]:
    """`penstock.settings.temporary_settings`, also with Prefect's names as text."""
    with ours(
        {_named(key): value for key, value in (updates or {}).items()},
        set_defaults={_named(key): value for key, value in (set_defaults or {}).items()},
        restore_defaults=[_named(key) for key in restore_defaults or ()],
    ) as made:
        yield made


def _named(key: Any) -> Any:
    return setting(key) if isinstance(key, str) and key.startswith("PREFECT_") else key


def get_current_settings() -> Settings:
    """See `penstock.settings.current`."""
    return current()
