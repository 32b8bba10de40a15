"""What runs on a node of the cluster for calls of tasks: relays between the flow's process and a worker process here.

Law: the cluster's own process runs no code of the task's; it waits. When the flow's process is gone while code is at
work, or says so, the worker process is killed with all that it has started; when this process dies, the kernel does
that.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import platform
import select
import socket
import threading
import time

from .... import __version__
from ....engine import identity
from ....engine.timers import TIMERS
from .. import parcels
from ..channel import Channel
from ..worker import Worker
from . import home, memory, orders
from .orders import Lease, Machine

CONNECT_SECONDS = 10.0
# How long a worker is kept that has nothing to do.
IDLE_SECONDS = 30.0


class Node:
    """What is a cluster's own about a place where hosts run: nothing, unless it says so."""

    # how much memory its tasks may take
    room: memory.Room | None = None

    def devices(self) -> dict[str, str]:
        """Variables of the environment that say which devices the host's place has."""
        return {}

    def secede(self) -> None:
        """The host's place is free for others: its task waits for work of theirs."""


class Place:
    """Where calls are made: for a flow's process on this machine, with these devices. What a worker process has of
    either, calls of another place are not to see."""

    def __init__(self, machine: Machine, node: Node) -> None:
        self.node = node
        self.machine = machine
        self.devices = node.devices()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and (other.machine, other.devices) == (self.machine, self.devices)

    __hash__ = None  # type: ignore[assignment]


# Worker processes that are kept for the next lease of the same place.
_idle: list[tuple[Worker, Place]] = []
_lock = threading.Lock()


def host(data: bytes, *values: bytes, node: Node | None = None) -> bytes:
    """Does the calls that the flow's process gives it, one after the other, until that hangs up; `values` are those
    that stayed on the cluster and are among the first call's arguments. Gives the last call's value, pickled, where
    that stays here, else nothing. All else is told to the flow's process."""
    lease = orders.decode(data)
    line = _dial(lease)
    if line is None:  # nobody waits for it any more
        return b""
    try:
        unfit = _unfit(lease)
        if unfit is not None:
            line.send(orders.UNFIT, unfit.encode())
            return b""
        return _Relay(Place(lease.machine, node or Node()), line, values).run()
    except OSError:  # the flow's process is gone
        return b""
    finally:
        line.close()


def _take(place: Place) -> Worker:
    """One that lives."""
    while True:
        with _lock:
            fitting = [kept for kept in _idle if kept[1] == place]
            if fitting:
                _idle.remove(fitting[-1])
        if not fitting:
            return Worker()
        worker = fitting[-1][0]
        if identity.started(worker.pid) is not None:
            return worker
        worker.kill()
        worker.reap()


def _keep(worker: Worker, place: Place) -> None:
    """For the next lease, which may be another flow's."""
    with _lock:
        worker.idle_since = time.monotonic()
        _idle.append((worker, place))
    TIMERS.after(IDLE_SECONDS + 0.1, _sweep)


def _sweep() -> None:
    """Lets go of those that have had nothing to do for long."""
    with _lock:
        now = time.monotonic()
        stale = [kept for kept in _idle if now - kept[0].idle_since >= IDLE_SECONDS]
        _idle[:] = [kept for kept in _idle if kept not in stale]
    for worker, _ in stale:
        worker.kill()
        worker.reap()


def _dial(lease: Lease) -> Channel | None:
    address, port = lease.home
    here = identity.me()
    near = Machine(here.host, here.boot) == lease.machine
    try:
        line = socket.create_connection((address, port), timeout=CONNECT_SECONDS)
        line.sendall(orders.HELLO.pack(orders.MAGIC, lease.token, lease.number, near))
        answer = line.recv(1)
    except OSError as error:
        raise ConnectionError(
            f"The flow's process cannot be reached from {socket.gethostname()} at {address}:{port} ({error}). Nodes of "
            "the cluster dial it: is there a firewall between them?"
        ) from None
    if answer != orders.WELCOME:
        line.close()
        return None
    home.prepare(line)
    return Channel(line.detach())


def _unfit(lease: Lease) -> str | None:
    """Why this node cannot do it. What is pickled by one version of Python is not for another."""
    python = ".".join(platform.python_version_tuple()[:2])
    if (lease.penstock, lease.python) != (__version__, python):
        return (
            f"node {socket.gethostname()} has Penstock {__version__} on Python {python}, the flow's process Penstock "
            f"{lease.penstock} on Python {lease.python}. They must be the same."
        )
    return None


class _Relay:
    """What the flow's process says goes to the worker, and the other way round."""

    def __init__(self, place: Place, line: Channel, values: tuple[bytes, ...]) -> None:
        self._worker = _take(place)
        self._place = place
        self._node = place.node
        self._devices = {os.fsencode(name): os.fsencode(value) for name, value in place.devices.items()}
        self._line = line
        self._values = values
        self._at_work = False
        self._is_over = False
        self._spent = False
        self._seceded = False
        self._killed = ""
        self._looked_at = 0.0
        self._value = b""

    def run(self) -> bytes:
        worker = self._worker
        poll = select.poll()
        for channel in (worker._line, self._line):
            poll.register(channel.fileno(), select.POLLIN)
        home, work = self._line.fileno(), worker._line.fileno()
        try:
            pause = None if self._node.room is None else memory.LOOK_SECONDS * 1000
            while not self._is_over:
                ready = [fd for fd, _ in poll.poll(pause)]
                if self._node.room is not None and self._at_work:
                    self._look(self._node.room)
                if home in ready:
                    self._hear_home()
                if work in ready and not worker.gone:
                    self._hear_worker()
        except BaseException:
            worker.kill()
            worker.reap()
            raise
        finally:
            memory.forget(worker.pid)
        if self._spent:
            worker.kill()
            worker.reap()
        elif not worker.gone:
            _keep(worker, self._place)
        return self._value

    def _look(self, room: memory.Room) -> None:
        """Whether the code takes more memory than there is for it."""
        now = time.monotonic()
        if now - self._looked_at < memory.LOOK_SECONDS:
            return
        self._looked_at = now
        excess = room.excess(self._worker.pid)
        if excess is not None and not self._killed:
            self._killed = f"was killed for its memory: {excess},"
            self._worker.kill()

    def _hear_home(self) -> None:
        """Raises OSError when the flow's process is gone and code is at work for it."""
        try:
            self._line.read()
        except EOFError:
            if self._at_work:
                raise ConnectionResetError("the flow's process is gone") from None
            self._is_over = True
            return
        while (message := self._line.next()) is not None:
            kind, data = message
            if kind == orders.KILL:
                self._worker.kill()
            elif kind in (parcels.JOB, parcels.PAYLOAD):
                if not self._at_work and identity.started(self._worker.pid) is None:
                    self._line.send(orders.AGAIN, b"")
                    self._worker.kill()
                    self._worker.reap()
                    self._is_over = True
                    return
                self._at_work = True
                self._give(kind, data)
            else:
                self._worker.reply(data, kind)

    def _give(self, kind: bytes, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a worker that is gone is noticed when it is heard
            if not self._values and not (self._devices and kind == parcels.JOB):
                self._worker._jobs.send(kind, data)
                return
            job = parcels.decode_job(data)
            if job.surroundings is not None:  # the flow's process has other devices
                job.surroundings.environ.update(self._devices)
            if not self._values:
                self._worker._jobs.send(kind, parcels.encode(job))
                return
            if job.arguments is None:
                job.arguments = self._line.receive()[1]
            job.arguments = pickle.dumps(parcels.Filled(job.arguments, self._values))
            self._values = ()
            parcels.send_job(self._worker._jobs, job)

    def _hear_worker(self) -> None:
        worker = self._worker
        try:
            worker._line.read()
        except (EOFError, OSError):
            worker.reap()
            self._line.send(orders.GONE, (self._killed or worker.how_it_ended()).encode())
            self._is_over = True
            return
        while (message := worker._line.next()) is not None:
            kind, data = message
            if kind == parcels.ANSWER:
                self._answer(data)
            elif kind == parcels.SECEDE:
                self._seceded = True
                self._node.secede()
            elif kind != parcels.READY:
                self._line.send(kind, data)

    def _answer(self, data: bytes) -> None:
        self._at_work = False
        memory.forget(self._worker.pid)
        answer = parcels.decode_answer(data)
        if self._seceded:  # its place has been given to others
            answer.spent = True
        self._is_over = self._spent = answer.spent
        if answer.payload is not None and len(answer.payload) <= orders.LARGEST_SENT:
            if self._seceded:
                parcels.send_answer(self._line, answer)
            else:
                self._line.send(parcels.ANSWER, data)
            return
        payload = answer.payload
        if payload is None:
            payload = self._worker._line.receive()[1]
        if answer.kind == "value":
            answer.payload, answer.kept, self._value, self._is_over = b"", len(payload), payload, True
        else:
            answer.payload = payload
        parcels.send_answer(self._line, answer)


def _end() -> None:
    while _idle:
        _idle.pop()[0].end()


atexit.register(_end)
