"""A worker process on a cluster, as the flow's process sees it: it is there for one call.

Law: what is said and heard is what a worker process of this machine says and hears (see `worker.Worker`); only where
the line comes from, how the code is killed, and how it is known that all is lost, is the cluster's.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ....engine.attempts import WARNING
from ....engine.runlog import say
from ....engine.scopes import NOWHERE, Scope
from ....ledger.piped import Receiver
from .. import parcels
from ..channel import Bell
from ..parcels import Answer, Job
from ..worker import RemoteFrame, Worker, unlimited
from . import orders
from .leases import Leases, Line
from .orders import Trouble

if TYPE_CHECKING:
    from ....engine.task_run import TaskCall

# How long the cluster may take to say what became of a node that was lost.
LAST_WORDS_SECONDS = 1.0
# How often a call that waits looks whether all of them wait in vain.
LOOK_SECONDS = 10.0


class HostedWorker(Worker):
    """For a call of the task of this name; `handles` are the cluster's own, of the values that are there and among the
    call's arguments, `wishes` what is asked of the cluster for it."""

    def __init__(self, leases: Leases, name: str, handles: Sequence[Any], wishes: dict[str, Any]) -> None:
        self.ready = self.gone = self.sent = self.loaded = self.left = False
        self.answer: Answer | None = None
        self.in_hand = []
        self.pid = 0
        self.handle: Any = None
        # why it cannot do the call, or what the cluster says
        self.trouble: Trouble | None = None
        self.line: Line | None = None
        self._leases = leases
        self._name = name
        self._handles = handles
        self._wishes = wishes
        # what gives the call to a host, when it was sent back by one whose worker process was gone before
        self._give: Callable[[], None] | None = None
        self._sent_back = False
        self._where = NOWHERE
        self._receiver: Receiver | None = None
        self._how = ""
        self._lost: Line | None = None
        self._cut: Trouble | None = None
        self._lock = threading.Lock()
        self._bell: Bell | None = Bell()

    def attach(self, line: Line) -> bool:
        """A host is there. In another thread."""
        with self._lock:
            bell = self._bell
            if self.gone or bell is None:
                return False
            self.line, self.told = line, line.told
            self._line = self._jobs = line.channel
            bell.watch(line.channel)
            self.ready = True
        bell.ring()
        return True

    def failed(self, trouble: Trouble) -> None:
        """The scheduler says that nothing will come of it. In another thread."""
        self.trouble = trouble
        self.gone = True
        self.ring()

    def cut(self, trouble: Trouble) -> None:
        """The cluster is gone. In another thread."""
        self._cut = trouble
        self.ring()

    def _await_start(self, call: TaskCall, scope: Scope) -> None:
        """The wait for a place on the cluster does not count."""
        with unlimited(call):
            self._leases.want(self, self._name, self._handles, self._wishes)
            while not (self.ready or self._settled(scope)):
                self.wait(LOOK_SECONDS)
                if (silence := self._leases.silence()) is not None and not self.ready:
                    say(call.context, WARNING, f"For {silence:.0f} s no place on the cluster was free. Has it workers?")

    def _do(self, call: TaskCall, make_job: Callable[[], Job], frame: RemoteFrame) -> None:
        job = make_job()

        def give() -> None:
            again = make_job()
            again.number = job.number
            with contextlib.suppress(OSError):  # noticed when it is waited for
                parcels.send_job(self._jobs, again)

        self._give = give
        super()._do(call, lambda: job, frame)

    def _stop(self, call: TaskCall, frame: RemoteFrame, number: int) -> None:
        if self.ready:
            super()._stop(call, frame, number)
        # else it was sent back, and waits for its host

    def wait(self, seconds: float | None = None) -> None:
        if self._cut is not None and self.answer is None and not self.gone:
            self._how = f"was given up with its cluster ({self._cut.text})"
            self.reap()
            return
        bell, line = self._bell, self.line
        if self._sent_back and line is not None and self._give is not None:
            self._sent_back = False
            self._give()
        if bell is None or not bell.wait(seconds) or line is None or self._cut is not None:
            return
        try:
            line.channel.read()
        except (EOFError, OSError):
            self.reap()
            return
        while (message := line.channel.next()) is not None:
            self._take(*message)

    def _take(self, kind: bytes, data: bytes) -> None:
        if kind == orders.GONE:
            self._how = data.decode()
        elif kind == orders.AGAIN:
            with self._lock:
                line, self.line, self.ready, self._sent_back = self.line, None, False, True
                if self._bell is not None:
                    self._bell.leave()
            if line is not None:
                line.channel.close()
            self._leases.want(self, self._name, self._handles, self._wishes)
        elif kind == orders.UNFIT:
            self.trouble = Trouble(data.decode(), is_loss=False)
            self.reap()
        else:
            super()._take(kind, data)
            if self.answer is not None and self.answer.kept and self.line is not None:
                self.handle = self.line.value

    def reply(self, data: bytes, kind: bytes = parcels.REPLY) -> None:
        line = self.line
        if line is not None:
            with contextlib.suppress(OSError):
                line.channel.send(kind, data)

    def kill(self) -> None:
        if self.line is not None:
            self.reply(b"", orders.KILL)
        else:
            self.finish()

    def finish(self) -> None:
        """The call is over, or is not wanted any more. Its host may have the next one, if it is fit for it."""
        answer, had = self.answer, self.ready
        line = self._part()
        if line is None:
            if not had:
                self._leases.forget(self)
        elif answer is None or answer.spent or answer.kept or self._wishes:  # others did not ask for such a place
            line.channel.close()
        else:
            self._leases.give_back(line)

    def end(self) -> None:
        self.finish()

    def reap(self) -> None:
        line = self._part()
        if line is not None:
            self._lost = line
            line.channel.close()
        if self._receiver is not None:
            self._receiver.close_open(self.how_it_ended())

    def forsake(self) -> None:
        line = self._part()
        if line is not None:
            line.channel.close()

    def _part(self) -> Line | None:
        with self._lock:
            self.gone = True
            self._bell = None
            line, self.line = self.line, None
        return line

    def how_it_ended(self) -> str:
        """What the node said of it; where that is gone, too, what the cluster says of the node."""
        if not self._how:
            why = self._lost.trouble(LAST_WORDS_SECONDS) if self._lost is not None else ""
            self._how = f"was lost with its node{f' ({why})' if why else ''}"
        return self._how
