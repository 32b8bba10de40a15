"""The settings of this moment: cached, and renewed when the world that they come from changes.

`current()` is called often, so what it looks at is cheap: the process's environment (one comparison of dicts whose
values are mostly identical objects), the working directory, and once a second the files. There is no lock: a snapshot
is replaced as a whole, and two threads that renew it at once make equal ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Any

from penstock.domain.errors import ConfigurationError
from penstock.settings.files import Files
from penstock.settings.resolve import Frame, Place, locate, problems, refused, resolve
from penstock.settings.setting import Setting, read_with
from penstock.settings.sources import Layer, outer_layers, variables
from penstock.settings.table import named
from penstock.settings.values import Settings

# How long a changed file may go unnoticed.
LOOK_EVERY_SECONDS = 1.0

OVERRIDDEN = "temporary_settings"

AnyUpdates = Mapping[Setting[Any], Any] | Mapping[str, Any] | Mapping[Setting[Any] | str, Any]

_frame: ContextVar[_ActiveFrame | None] = ContextVar("penstock_temporary_settings", default=None)


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # deleted, or not ours to see
        return None


class _Snapshot:
    """The world at one look: environment, working directory, the layers read from them, and what came of it."""

    __slots__ = ("environ", "folder", "layers", "relevant", "settings")

    def __init__(self, environ: dict[Any, Any], relevant: dict[str, str], folder: str | None, files: Files) -> None:
        self.environ = environ
        self.relevant = relevant
        self.folder = folder
        self.layers = outer_layers(variables(relevant), STARTED_IN, folder, files)
        self.settings: Settings | None = None


class _ActiveFrame:
    """A frame and the settings it makes of the latest snapshot it was asked about."""

    __slots__ = ("frame", "made")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.made: tuple[_Snapshot, Settings] | None = None


class Watch:
    """Keeps the snapshot, and knows when it is stale. One a process; tests make their own with their own clock."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.files = Files()
        self._clock = clock
        self._snapshot: _Snapshot | None = None
        self._look_at = 0.0

    def snapshot(self) -> _Snapshot:
        """The world as it is now; the same object as before as long as nothing that matters has changed."""
        snapshot = self._snapshot
        folder = _working_directory()
        if (
            snapshot is not None
            and self._clock() < self._look_at
            and snapshot.folder == folder
            and snapshot.environ == _raw_environ()
        ):
            return snapshot
        return self._look(snapshot, folder)

    def forget(self) -> None:
        """Look at everything again when asked next."""
        self._snapshot = None

    def _look(self, snapshot: _Snapshot | None, folder: str | None) -> _Snapshot:
        environ = dict(_raw_environ())
        relevant = _relevant(os.environ)
        self._look_at = self._clock() + LOOK_EVERY_SECONDS
        if snapshot is None or snapshot.folder != folder or snapshot.relevant != relevant or self.files.changed():
            self.files.forget()
            self._snapshot = snapshot = _Snapshot(environ, relevant, folder, self.files)
        snapshot.environ = environ
        return snapshot


# Relative paths in environment variables mean this folder for as long as the process lives: whoever set them meant the
# one the process was started in, and a flow that changes directory must not go on in another database.
STARTED_IN = _working_directory()

_watch = Watch()
_everywhere: _ActiveFrame | None = None


def current() -> Settings:
    """The settings of this moment, overrides included; ConfigurationError when they cannot be used."""
    snapshot = _watch.snapshot()
    active = _frame.get() or _everywhere
    if active is None:
        if snapshot.settings is None:
            snapshot.settings = resolve(snapshot.layers, None, _watch.files)
        return snapshot.settings
    made = active.made
    if made is None or made[0] is not snapshot:
        made = active.made = (snapshot, resolve(snapshot.layers, active.frame, _watch.files))
    return made[1]


def refresh() -> None:
    """Read files again at the next call, without waiting for the second to pass."""
    _watch.forget()


def find_profiles() -> Place:
    """Where the profiles are and which is chosen; works while the profiles' own values are broken."""
    return locate(_watch.snapshot().layers, _active_frame(), _watch.files)


def find_problems() -> list[ConfigurationError]:
    """Everything that is wrong with the settings, in any place they come from."""
    return list(problems(_watch.snapshot().layers, _active_frame(), _watch.files))


@contextmanager
def temporary_settings(
    updates: AnyUpdates | None = None,
    *,
    set_defaults: AnyUpdates | None = None,
    restore_defaults: Iterable[Setting[Any] | str] | None = None,
) -> Iterator[Settings]:
    """Override settings for the code inside, in this thread or task and what copies its context.

    `updates` win over everything; `restore_defaults` makes settings forget what any place says; `set_defaults` are
    used for what is then set nowhere. Nests: the inner one wins. Yields the new settings.
    """
    token = _frame.set(_ActiveFrame(_nested(updates or {}, set_defaults or {}, restore_defaults or ())))
    try:
        yield current()
    finally:
        _frame.reset(token)


@contextmanager
def settings_everywhere(updates: AnyUpdates) -> Iterator[Settings]:
    """`temporary_settings` for all threads of the process: for test harnesses."""
    global _everywhere
    before, frame = _everywhere, _ActiveFrame(_nested(updates, {}, ()))
    _everywhere, mine = frame, _frame.get()
    if mine is not None:  # of this thread alone, and stronger
        _frame.set(frame)
    try:
        yield current()
    finally:
        _everywhere = before
        if mine is not None:  # (a token would ask for the same context, and fixtures may end in another)
            _frame.set(mine)


def _active_frame() -> Frame | None:
    active = _frame.get() or _everywhere
    return None if active is None else active.frame


def _nested(updates: AnyUpdates, defaults: AnyUpdates, restore: Iterable[Setting[Any] | str]) -> Frame:
    """The frame of a `temporary_settings` inside those that are active."""
    outer = _active_frame()
    restored = frozenset(named(setting).name for setting in restore)
    overrides, fallbacks = _typed(updates), _typed(defaults)
    if outer is not None:
        overrides = {**outer.overrides.without(restored).values, **overrides}
        fallbacks = {**fallbacks, **outer.fallbacks.without(restored).values}
        restored |= outer.restored
    folder = _working_directory()
    return Frame(Layer(OVERRIDDEN, folder, overrides), restored, Layer(OVERRIDDEN, folder, fallbacks))


def _typed(updates: AnyUpdates) -> dict[str, Any]:
    """Overrides by full name, checked here so that the error is raised where they were written."""
    values: dict[str, Any] = {}
    for key, raw in updates.items():
        setting = named(key)
        try:
            values[setting.name] = setting.kind.read(raw)
        except ValueError:
            raise refused(setting, raw, OVERRIDDEN) from None
    return values


def _raw_environ() -> Mapping[Any, Any]:
    """The environment as Python holds it: comparing it costs a microsecond or two, decoding it tens."""
    return getattr(os.environ, "_data", os.environ)


def _relevant(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that can change a setting: our own, and those that `~` stands for."""
    return {key: environ[key] for key in list(environ) if key.startswith("PENSTOCK_") or key in ("HOME", "USERPROFILE")}


read_with(current)
