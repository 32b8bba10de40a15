"""The SDK's root: from settings to the ledger that runs of this process report to. Production, the CLI and tests all
come through here; below it nothing reads a setting for itself."""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import getpass
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from .. import __version__
from ..domain.errors import ConfigurationError, PenstockError
from ..domain.levels import LEVELS
from ..domain.stops import GONE
from ..engine import identity, live, scopes
from ..engine.clock import SYSTEM, Clock
from ..engine.masking import MASKER, heed
from ..engine.runtime import Double, Runtime
from ..engine.stopping import shielded
from ..engine.timers import TIMERS
from ..ledger.contract import Flush, Ledger
from ..settings import Settings, current
from ..vault import Vault
from . import traces
from .beside import Beside
from .beside import may_be_killed as may_be_killed

if TYPE_CHECKING:
    import msgspec

    from ..domain.retention import Ages
    from ..ledger.local import LocalLedger
    from ..ledger.remote import RemoteLedger
    from ..ledger.slots import Slots
    from ..protocol.operation import Operation
    from ..services.desk import Desk
    from ..store.contract import Store
    from ..store.sqlite import SqliteStore
    from ..transport import Transport

T = TypeVar("T")

# A run that takes longer has somebody beside the process from then on (one with a limit has from its beginning).
LONG_SECONDS = 2.0
# How long a process that ends waits for what it does for the record by itself.
LOOP_PATIENCE = 2.0
# How often somebody who waits for something in the record looks for runs there whose process is gone.
LOOK_SECONDS = 1.0
# For how many seconds a server that is away is asked again: a person sees sooner what is wrong.
PATIENCE = {"CLI": 1.0}
# For how long a program deletes what is old, at its end.
LEAST_SECONDS, MOST_SECONDS = 0.02, 5.0


class _Owner:
    """multiprocessing wants something that its finalizers belong to."""


_owner = _Owner()
_began = time.monotonic()
_lock = threading.Lock()
_ledgers: dict[Path, LocalLedger] = {}
_remote: dict[tuple[str, str | None, str | None], RemoteLedger] = {}
_lost: list[LocalLedger] = []
# Records that were opened to be asked; one for each database, beside the ledger's.
_asked: dict[Path, SqliteStore] = {}
_looked: dict[Path, float] = {}
_transports: dict[tuple[str, str | None, str | None, float], Transport] = {}
_slots: dict[str, Slots] = {}
# A process that works for another's run (a worker of the process task runner) reports to that one instead.
_given: Ledger | None = None
_clock: Clock = SYSTEM
_double: Double | None = None
# Records that tests have put in the place of files.
_rehearsed: dict[Path, SqliteStore] = {}


def runtime() -> Runtime:
    """What a run that begins now is given, by the settings as they are now.

    Opens the record when it is not open yet, and closes runs there whose process is gone.
    Raises `RecordError` when the record cannot be used, `ConfigurationError` where the settings want what cannot be.
    """
    settings = current()
    heed(settings)
    ledger: Ledger = _given if _given is not None else own_ledger(settings)
    # A run in another thread than the main one is a part of a program that does other things as well.
    killable = threading.current_thread() is threading.main_thread() and may_be_killed()
    level = LEVELS[settings.logging_level]
    slots_of, keys = partial(slots, settings), _vault(settings)
    tracer = traces.tracer(settings)
    return Runtime(ledger, settings, _clock, identity.me(), level, keys, slots_of, _beside, killable, _double, tracer)


@contextlib.contextmanager
def attending(runtime: Runtime) -> Iterator[None]:
    """For the time of a run that has no parent: its process is vouched for, requests to stop are heard, and, should
    the process die or freeze, somebody notices."""
    runtime.ledger.attend()
    where = _where_is(runtime) if runtime.settings.stop_watchdog else None
    watchdog = timer = None
    if where is not None:
        watchdog = _beside.watchdog()
        watchdog.attend(where)
        timer = TIMERS.after(LONG_SECONDS, watchdog.launch)
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        if watchdog is not None:
            watchdog.leave()
        runtime.ledger.leave()


def _where_is(runtime: Runtime) -> bytes | None:
    """The record that a run reports to, for the watchdog; None where this process works for the run of another."""
    if _given is not None:
        return None
    from ..ledger.local import LocalLedger
    from ..watchdog.places import ServerPlace, where_is, where_is_server

    if isinstance(runtime.ledger, LocalLedger):
        return where_is(runtime.ledger.store.path)
    for (_, key, basic), ledger in _remote.items():
        if ledger is runtime.ledger:
            return where_is_server(ServerPlace(ledger.url, key, basic, ledger.folder))
    raise AssertionError("a run reports to a ledger of this process")


_beside = Beside(_where_is)


def own_ledger(settings: Settings) -> Ledger:
    """The ledger that this process reports to by itself: a server's, where PENSTOCK_API_URL is set."""
    return remote_ledger(settings) if settings.api_url else local_ledger(settings)


def remote_ledger(settings: Settings) -> RemoteLedger:
    """The ledger on a server's record; one for each server and key that this process uses."""
    from .. import served

    assert settings.api_url is not None
    asked = (settings.api_url, settings.api_key, settings.api_auth_string)
    ledger = _remote.get(asked)
    if ledger is None:
        way = transport(settings)
        killable = threading.current_thread() is threading.main_thread() and may_be_killed()
        with _lock:
            ledger = _remote.get(asked)
            if ledger is None:
                ledger = _remote[asked] = served.open_ledger(settings, way, live.hear, killable)
    return ledger


def database_path(settings: Settings) -> Path:
    """The file of the record of embedded runs. Raises `ConfigurationError` where the record is in no file."""
    if settings.database_url is None:
        return settings.database_path
    from ..store.opening import file_at

    path = file_at(settings.database_url)
    if path is None:
        raise ConfigurationError(
            "PENSTOCK_DATABASE_URL names a record in PostgreSQL. Programs and commands reach it through a server: "
            "start one (`penstock server start`), and set PENSTOCK_API_URL to its address."
        )
    return path


def local_ledger(settings: Settings) -> LocalLedger:
    """The ledger on this machine's record; one for each database that this process uses."""
    from ..ledger.local import LocalLedger
    from ..store.sqlite import SqliteStore

    path = database_path(settings)
    ledger = _ledgers.get(path)
    if ledger is not None and ledger.store.is_there():
        return ledger
    with _lock:
        if ledger is not None and _ledgers.get(path) is ledger:
            # Runs under way keep the old one to their end; what begins now has a record that can be found.
            print(f"penstock: the record {path} was deleted or replaced; a new one is begun", file=sys.__stderr__)
            _lost.append(_ledgers.pop(path))
        if path not in _ledgers:
            store = _rehearsed.get(path) or SqliteStore(path)
            close_dead(store)
            _ledgers[path] = LocalLedger(
                store,
                holder=identity.me,
                now=_clock.now,
                hear=live.hear,
                masker=MASKER,
                may_be_killed=threading.current_thread() is threading.main_thread() and may_be_killed(),
                interval=settings.journal_interval_seconds,
                limit=settings.journal_limit,
            )
        return _ledgers[path]


def open_store() -> SqliteStore:
    """The record, for reading. Runs whose process is gone are closed first."""
    from ..store.sqlite import SqliteStore

    ledger = _ledgers.get(database_path(current()))
    if ledger is not None and isinstance(ledger.store, SqliteStore):
        return ledger.store
    path = database_path(current())
    store = _rehearsed.get(path) or SqliteStore(path)
    close_dead(store)
    return store


def close_dead(store: Store) -> None:
    """Closes runs whose process is gone: who looks at the record, or waits for a run in it, is not told that they
    run; nor that they wait, where the time for an answer is over."""
    from ..services.pausing import expire
    from ..services.rescue import rescue

    rescue(store, identity.lives, _clock.now)
    expire(store, _clock.now(), identity.lives)


def call(operation: Operation[Any, T], argument: msgspec.Struct, *, way: str = "Python", key: str | None = None) -> T:
    """Has the record answer an operation: by the server, where PENSTOCK_API_URL is set, else in this process. `way` is
    how somebody came here ("CLI"), `key` as in `Transport.call`. No stop of a run comes between: who waits for
    something, waits in pieces.

    Raises what the operation raises, and `RecordError` where the record cannot be asked.
    """
    from ..protocol.operation import checked

    settings, argument = current(), checked(operation, argument)
    if settings.api_url:
        server = transport(settings, PATIENCE.get(way, 10.0))
        if way == "CLI" and (settings.home / "spool").exists():
            from .. import served

            served.ship(settings, server)
        return ask_server(server, operation, argument, key)

    def answer(store: SqliteStore) -> T:
        _look_after(store)  # what was true when it was opened need not be any more
        return desk(store, way).wait_for_answer(operation, argument, partial(_look_after, store))

    return ask_record(answer)


def ask_server(server: Transport, operation: Operation[Any, T], argument: msgspec.Struct, key: str | None = None) -> T:
    """The answer of a server. What is not safe to ask twice is given a key, so that it can be tried again; but for what
    is answered with a secret, which is kept nowhere."""
    if key is None and not (operation.safe or operation.secret):
        key = uuid4().hex
    answer: T = shielded(partial(server.call, operation, argument, key=key))
    return answer


def _look_after(store: SqliteStore) -> None:
    """Nobody waits for the dead; and nobody looks for them all the time."""
    now = time.monotonic()
    if now - _looked.get(store.path, -1.0) >= LOOK_SECONDS:
        _looked[store.path] = now
        close_dead(store)


def slots(settings: Settings) -> Slots:
    """This process's slots of concurrency limits; one for each record that it uses."""
    where = settings.api_url or str(database_path(settings))
    found = _slots.get(where)
    if found is None:
        from ..ledger.slots import Slots

        # What asks is another thread, to which the settings of this moment go with it.
        context = contextvars.copy_context()

        def ask(operation: Operation[Any, T], argument: msgspec.Struct, key: str | None = None) -> T:
            return context.copy().run(partial(call, operation, argument, key=key))

        with _lock:
            found = _slots.get(where)
            if found is None:
                found = _slots[where] = Slots(ask, _clock.new_id, settings.api_patience_seconds)
    return found


def settle() -> None:
    """What this process has reported so far is in the record when this returns."""
    settings = current()
    speaker: Ledger | None = _given
    if speaker is None and settings.api_url:
        speaker = _remote.get((settings.api_url, settings.api_key, settings.api_auth_string))
    elif speaker is None:
        speaker = _ledgers.get(database_path(settings))
    if speaker is not None:
        shielded(speaker.ask, Flush())


def desk(store: Store, way: str = "Python", ages: Ages | None = None) -> Desk:
    """Where operations are answered in this process: whoever can open the record's file may do all."""
    from ..domain.retention import Ages
    from ..services import answers, desk

    assert answers
    kept = Ages() if ages is None else ages
    return desk.Desk(store, vault(), _clock.now, identity.lives, asker(way), version=__version__, ages=kept)


def transport(settings: Settings, patience: float = 10.0) -> Transport:
    """The way to the server, on which what is safe is tried again for `patience` seconds; one for each URL and key that
    this process uses."""
    from ..transport import Transport

    assert settings.api_url is not None
    asked = (settings.api_url, settings.api_key, settings.api_auth_string, patience)
    with _lock:
        if asked not in _transports:
            url, key, basic, _ = asked
            _transports[asked] = Transport(url, key=key, basic=basic, patience=patience, carry=traces.carry)
        return _transports[asked]


def asker(way: str) -> str:
    """Who asks, and by which way: `ann@laptop via CLI`. There is always an answer."""
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container's user may have no name
        user = f"uid {os.getuid()}" if hasattr(os, "getuid") else "somebody"
    return f"{user}@{identity.me().host} via {way}".encode("utf-8", "backslashreplace").decode()


@contextlib.contextmanager
def tend() -> Iterator[None]:
    """For its time, this process does for the record what a server does by itself (plans runs, closes the dead, deletes
    what is old), unless another one does. Nothing, where a server keeps the record."""
    settings = current()
    if settings.api_url:
        yield
        return
    from ..domain.retention import Ages
    from ..services.loops import LOOPS
    from ..services.loops.supervisor import NoMeters, Supervisor

    here = ask_record(lambda store: desk(store, "loops", Ages.of(settings)))
    supervisor = Supervisor(here, LOOPS, NoMeters())
    supervisor.start()
    try:
        yield
    finally:
        supervisor.stop(LOOP_PATIENCE)


def ask_record(question: Callable[[SqliteStore], T]) -> T:
    """`question(store)` for user code that wants something of the record, inside or outside of runs: no stop of a run
    comes between. Asks the store that runs of this process report to, else one that is opened for questions."""
    answer: T = shielded(lambda: question(_asked_store()))
    return answer


def _asked_store() -> SqliteStore:
    path = database_path(current())
    ledger = _ledgers.get(path)
    if ledger is not None and ledger.store.is_there():
        return ledger.store
    with _lock:
        store = _asked.get(path)
        if store is not None and not store.is_there():
            _asked.pop(path).close()
        if path not in _asked:
            _asked[path] = open_store()
        return _asked[path]


def vault() -> Vault:
    """What encrypts secrets at rest: by the given key, else by the key file of PENSTOCK_HOME."""
    return _vault(current())


def _vault(settings: Settings) -> Vault:
    return Vault(settings.home / "secret.key", settings.encryption_key)


def give(ledger: Ledger) -> None:
    """From now on runs of this process report to `ledger`."""
    global _given
    _given = ledger


def clock() -> Clock:
    """The clock of runs that begin now."""
    return _clock


@contextlib.contextmanager
def rehearsing(store: SqliteStore, clock: Clock, double: Double) -> Iterator[None]:
    """For tests: for its time, runs whose record is to be at `store.path` are recorded in `store`; the time is that of
    `clock`, and `double` stands before their code."""
    global _clock, _double, _given
    before = _clock, _double, _given
    _clock, _double, _given, _rehearsed[store.path] = clock, double, None, store
    try:
        yield
    finally:
        _clock, _double, _given = before
        del _rehearsed[store.path]
        office, ledger = _slots.pop(str(store.path), None), _ledgers.pop(store.path, None)
        if office is not None:
            office.close()
        if ledger is not None:
            _close(ledger, store.path)


def disconnect() -> None:
    """Records what is waiting and closes all records; the next run opens them again."""
    while _slots:
        _slots.popitem()[1].close()
    with _lock:
        for path, ledger in list(_ledgers.items()):
            del _ledgers[path]
            _close(ledger, path)
        while _asked:
            _asked.popitem()[1].close()
        while _remote:
            (url, *_), remote = _remote.popitem()
            _close(remote, url)
        while _lost:
            ledger = _lost.pop()
            _close(ledger, ledger.store.path)


def _end() -> None:
    """The program ends."""
    scopes.still_all(GONE)
    for ledger in _ledgers.values():
        _delete_old(ledger)
    _leave()
    _beside.close()


def _leave() -> None:
    disconnect()
    traces.flush()


def _delete_old(ledger: LocalLedger) -> None:
    """At the end of a program, once an hour in each record, and for a twentieth of the time that it ran: no server is
    there to do it. (With a server on the same record there is nothing left to do.)"""
    from ..store import retention as marks

    now = _clock.now()
    try:
        with ledger.store.read() as tx:
            if not marks.is_due(tx, now):
                return
        from ..domain.retention import Ages
        from ..services import retention

        over = time.monotonic() + min(max((time.monotonic() - _began) / 20, LEAST_SECONDS), MOST_SECONDS)
        retention.prune_if_due(ledger.store, now, Ages.of(current()), is_over=lambda: time.monotonic() > over)
    except PenstockError as error:
        print(f"penstock: what is old could not be deleted: {error}", file=sys.__stderr__)


def _close(ledger: LocalLedger | RemoteLedger, where: Path | str) -> None:
    left = ledger.close()
    if left:
        why = f" ({ledger.trouble})" if ledger.trouble else ""
        print(f"penstock: {left} facts could not be recorded in {where}{why}", file=sys.__stderr__)


def _forget() -> None:
    """In a forked child: ledgers stay, for runs hold on to them; each opens what it needs anew (journal, store).

    A child of multiprocessing ends without Python's own end; it is asked to record what is waiting all the same.
    """
    global _lock
    _lock = threading.Lock()
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        # (It forgets finalizers when it begins, and calls what was registered for after a fork thereafter.)
        util.register_after_fork(_owner, lambda _: util.Finalize(None, _leave, exitpriority=100))


atexit.register(_end)
with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
