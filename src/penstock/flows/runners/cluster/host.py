"""What runs on a node of the cluster for a call of a task: relays between the flow's process and a worker process here.

Law: the cluster's own process runs no code of the task's; it waits. When the flow's process is gone, or says so, the
worker process is killed with all that it has started; when this process dies, the kernel does that.
"""

from __future__ import annotations

import atexit
import contextlib
import pickle
import platform
import select
import socket
import threading
import time
from typing import Any

from .... import __version__
from ....engine import identity
from ....engine.timers import TIMERS
from .. import parcels
from ..channel import Channel
from ..parcels import Job
from ..worker import Worker
from . import home, orders
from .orders import Machine, Order

CONNECT_SECONDS = 10.0
# How long a worker is kept that has nothing to do.
IDLE_SECONDS = 30.0


class Child:
    """A worker process that is kept for the next call, and what it knows already."""

    def __init__(self) -> None:
        self.worker = Worker()
        self.tasks: dict[tuple[bytes, int], int] = {}
        self.flow: Any = None
        self.settings: Any = None
        self.surroundings: Any = None
        self.number = 0

    def lives(self) -> bool:
        return identity.started(self.worker.pid) is not None

    def brief(self, order: Order) -> Job:
        """The order's job, without what the worker knows, and with numbers of its own: it works for several flows."""
        job = order.job
        key = (order.token, job.task_number)
        self.number += 1
        job.number = self.number
        if key in self.tasks:
            job.task = None
        else:
            self.tasks[key] = len(self.tasks) + 1
        job.task_number = self.tasks[key]
        job.forget = False
        flow = None if job.flow is None else (job.flow.run.id, job.flow.run.version)
        if flow == self.flow:
            job.flow = None
        self.flow = flow or self.flow
        job.settings, self.settings = (None if job.settings == self.settings else job.settings), job.settings
        here = identity.me()
        if Machine(here.host, here.boot) == order.machine and order.surroundings != self.surroundings:
            self.surroundings = job.surroundings = order.surroundings
        return job


_idle: list[Child] = []
_lock = threading.Lock()


def host(data: bytes, *values: bytes) -> bytes:
    """Does an order; `values` are those that stayed on the cluster and are among its arguments. Gives the call's value,
    pickled, where that stays here, else nothing. All else is told to the flow's process."""
    order = orders.decode(data)
    line = _dial(order)
    if line is None:  # nobody waits for it any more
        return b""
    try:
        unfit = _unfit(order)
        if unfit is not None:
            line.send(orders.UNFIT, unfit.encode())
            return b""
        if values:
            order.job.arguments = pickle.dumps(parcels.Filled(order.job.arguments or b"", values))
        return _Relay(_take(), line, order).run()
    except OSError:  # the flow's process is gone
        return b""
    finally:
        line.close()


def _take() -> Child:
    """One that lives."""
    while True:
        with _lock:
            child = _idle.pop() if _idle else None
        if child is None:
            return Child()
        if child.lives():
            return child
        child.worker.kill()
        child.worker.reap()


def _keep(child: Child) -> None:
    """For the next call, which may be another flow's."""
    with _lock:
        child.worker.idle_since = time.monotonic()
        _idle.append(child)
    TIMERS.after(IDLE_SECONDS + 0.1, _sweep)


def _sweep() -> None:
    """Lets go of those that have had nothing to do for long."""
    with _lock:
        now = time.monotonic()
        stale = [child for child in _idle if now - child.worker.idle_since >= IDLE_SECONDS]
        _idle[:] = [child for child in _idle if child not in stale]
    for child in stale:
        child.worker.kill()
        child.worker.reap()


def _dial(order: Order) -> Channel | None:
    address, port = order.home
    try:
        line = socket.create_connection((address, port), timeout=CONNECT_SECONDS)
        line.sendall(orders.HELLO.pack(orders.MAGIC, order.token, order.number))
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


def _unfit(order: Order) -> str | None:
    """Why this node cannot do it. What is pickled by one version of Python is not for another."""
    python = ".".join(platform.python_version_tuple()[:2])
    if (order.penstock, order.python) != (__version__, python):
        return (
            f"node {socket.gethostname()} has Penstock {__version__} on Python {python}, the flow's process Penstock "
            f"{order.penstock} on Python {order.python}. They must be the same."
        )
    return None


class _Relay:
    """One call: what the worker says goes to the flow's process, and the other way round."""

    def __init__(self, child: Child, line: Channel, order: Order) -> None:
        self._child = child
        self._worker = child.worker
        self._line = line
        self._order = order
        self._value: bytes | None = None
        self._spent = False

    def run(self) -> bytes:
        worker = self._worker
        with contextlib.suppress(OSError):  # gone already, which is noticed below
            parcels.send_job(worker._jobs, self._child.brief(self._order))
        poll = select.poll()
        for channel in (worker._line, self._line):
            poll.register(channel.fileno(), select.POLLIN)
        try:
            while self._value is None:
                ready = {fd for fd, _ in poll.poll()}
                if self._line.fileno() in ready:
                    self._hear_home()
                if worker._line.fileno() in ready:
                    self._hear_worker()
        except BaseException:
            worker.kill()
            worker.reap()
            raise
        if not worker.gone:
            self._give_back()
        return self._value

    def _hear_home(self) -> None:
        """Raises OSError or EOFError when the flow's process is gone."""
        try:
            self._line.read()
        except EOFError:
            raise ConnectionResetError("the flow's process is gone") from None
        while (message := self._line.next()) is not None:
            kind, data = message
            if kind == orders.KILL:
                self._worker.kill()
            elif kind == parcels.STOP:
                stop = parcels.decode_stop(data)
                stop.number = self._child.number
                self._worker.reply(parcels.encode(stop), parcels.STOP)
            else:
                self._worker.reply(data)

    def _hear_worker(self) -> None:
        worker = self._worker
        try:
            worker._line.read()
        except (EOFError, OSError):
            worker.reap()
            self._line.send(orders.GONE, worker.how_it_ended().encode())
            self._value = b""
            return
        while (message := worker._line.next()) is not None:
            kind, data = message
            if kind == parcels.ANSWER:
                self._answer(data)
            elif kind != parcels.READY:
                self._line.send(kind, data)

    def _answer(self, data: bytes) -> None:
        answer = parcels.decode_answer(data)
        payload = answer.payload
        if payload is None:
            payload = self._worker._line.receive()[1]
        stays = answer.kind == "value" and len(payload) > orders.LARGEST_SENT
        answer.payload, answer.kept = (b"", len(payload)) if stays else (payload, 0)
        self._spent = answer.spent
        parcels.send_answer(self._line, answer)
        self._value = payload if stays else b""

    def _give_back(self) -> None:
        if self._spent:
            self._worker.kill()
            self._worker.reap()
            return
        _keep(self._child)


def _end() -> None:
    while _idle:
        _idle.pop().worker.end()


atexit.register(_end)
