"""The ledger of a worker process: facts and questions go through a pipe to the process whose run it works for.

Law: one process writes the record. A fact is in the pipe when `write` returns, so what a process said just before it
died is heard all the same; and what it left open is closed by the other end. Values of users never come this way, and
each end masks what it knows to be secret.

The pipe itself is not here: both ends are given a function that sends bytes, and are handed the bytes that came.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from ..domain import errors
from ..domain.artifacts import Artifact, ArtifactChange
from ..domain.caching import CacheEntry
from ..domain.errors import PenstockError, RecordError, StoreUnavailableError
from ..domain.events import Event
from ..domain.logs import LogLine
from ..domain.masking import Masker
from ..domain.rules import Facts
from ..domain.runs import FlowRun, TaskRun
from ..domain.states import State
from ..domain.stops import Stilled
from ..domain.transition import Entered
from .contract import Begin, Cached, Enter, Fact, Ledger, Question, Reply, answer_to
from .masked import masked


class _Reported(msgspec.Struct, array_like=True, tag=True):
    run: TaskRun


class _Said(msgspec.Struct, array_like=True, tag=True):
    line: LogLine


class _Kept(msgspec.Struct, array_like=True, tag=True):
    entry: CacheEntry


class _Still(msgspec.Struct, array_like=True, tag=True):
    stilled: Stilled


class _Made(msgspec.Struct, array_like=True, tag=True):
    """An artifact, what is new of one, or an event: the field that is not None."""

    artifact: Artifact | None = None
    change: ArtifactChange | None = None
    event: Event | None = None


class CountRun(msgspec.Struct, frozen=True, tag=True):
    """Which run of this task in the flow run is it? Answer: a number."""

    task_name: str


class _Asked(msgspec.Struct, array_like=True, tag=True):
    number: int
    question: Question | CountRun


class _Answered(msgspec.Struct, array_like=True):
    """The answer to question `number`; which field has it, the question says. `problem` is an error's name and text."""

    number: int
    entered: Entered | None = None
    cached: Cached | None = None
    count: int | None = None
    problem: tuple[str, str] | None = None


_encode = msgspec.msgpack.Encoder(enc_hook=repr).encode
_decode = msgspec.msgpack.Decoder(_Reported | _Said | _Kept | _Still | _Made | _Asked).decode
_decode_answer = msgspec.msgpack.Decoder(_Answered).decode


class PipedLedger:
    """The worker's end; see `contract.Ledger`.

    `send` puts bytes into the pipe, whole, from any thread; it raises OSError when nobody is at the other end. `guard`
    calls a function so that no stop of a run is raised in it: half a message would be the end of all that follow.
    `instead` is for a process that was forked from the worker: the pipe is not its own, so it has another ledger.
    """

    def __init__(self, send: Callable[[bytes], None], guard: Callable[..., Any], masker: Masker) -> None:
        self._send = send
        self._guard = guard
        self._masker = masker
        self._lock = threading.Lock()
        self._asked = 0
        self._replies: dict[int, Reply] = {}
        self.instead: Callable[[], Ledger] | None = None

    def write(self, fact: Fact) -> None:
        if self.instead is not None:
            self.instead().write(fact)
            return
        fact = masked(self._masker, fact)
        message: Any
        if isinstance(fact, LogLine):
            message = _Said(fact)
        elif isinstance(fact, TaskRun):
            message = _Reported(fact)
        elif isinstance(fact, Stilled):
            message = _Still(fact)
        elif isinstance(fact, Artifact):
            message = _Made(artifact=fact)
        elif isinstance(fact, ArtifactChange):
            message = _Made(change=fact)
        elif isinstance(fact, Event):
            message = _Made(event=fact)
        else:
            assert isinstance(fact, CacheEntry)  # a worker process enters no states of flow runs
            message = _Kept(fact)
        self._guard(self._put, _encode(message))

    def ask(self, question: Question | CountRun) -> Any:
        return self._guard(self._ask, question)

    def ask_then(self, question: Question | CountRun, reply: Reply) -> None:
        if self.instead is not None and not isinstance(question, CountRun):
            self.instead().ask_then(question, reply)
            return
        with self._lock:
            self._asked += 1
            number = self._asked
            self._replies[number] = reply
        self._put(_encode(_Asked(number, masked(self._masker, question))))

    def answered(self, data: bytes) -> None:
        """Bytes came from the other end."""
        answer = _decode_answer(data)
        reply = self._replies.pop(answer.number)
        if answer.problem is not None:
            name, text = answer.problem
            reply(None, getattr(errors, name, PenstockError)(text))
        elif answer.entered is not None:
            reply(answer.entered, None)
        else:
            reply(answer.cached if answer.cached is not None else answer.count, None)

    def attend(self) -> None:
        """The process at the other end attends to its runs and what is below them."""

    def leave(self) -> None:
        """As above."""

    def close(self) -> int:
        """How many facts could not be handed over; they all were."""
        return 0

    def _ask(self, question: Question | CountRun) -> Any:
        return answer_to(self.ask_then, question)

    def _put(self, data: bytes) -> None:
        try:
            self._send(data)
        except OSError as error:
            raise StoreUnavailableError(f"The process that keeps the record is gone: {error}.") from error


class Receiver:
    """The recorder's end, for one worker: takes its messages to `ledger`, sends answers by `send`.

    Which numbers lines and runs get, and how runs end whose worker is gone, the run's engine says, by overriding.
    """

    def __init__(self, ledger: Ledger, send: Callable[[bytes], None], masker: Masker) -> None:
        self._ledger = ledger
        self._send = send
        self._masker = masker
        self._open_tasks: dict[UUID, TaskRun] = {}
        self._open_flows: dict[UUID, FlowRun] = {}

    def seq(self, line: LogLine) -> int | None:
        """The number of a line that belongs to a run of this process; None where it keeps the worker's own, because
        the run began there."""
        raise NotImplementedError

    def count(self, task_name: str) -> int:
        """The number of the task's next run."""
        raise NotImplementedError

    def ending(self, how: str) -> State[Any]:
        """The state of runs that ended with their worker, which ended so."""
        raise NotImplementedError

    def take(self, data: bytes) -> None:
        """One message. A question is answered before this returns; one thread may call it."""
        message = _decode(data)
        if isinstance(message, _Said):
            line = message.line
            seq, text = self.seq(line), self._masker.text(line.message)
            self._write(msgspec.structs.replace(line, seq=line.seq if seq is None else seq, message=text))
        elif isinstance(message, _Reported):
            run = message.run
            if run.state.is_final():
                self._open_tasks.pop(run.id, None)
            else:
                self._open_tasks[run.id] = run
            self._write(run)
        elif isinstance(message, _Kept):
            self._write(message.entry)
        elif isinstance(message, _Still):
            self._write(message.stilled)
        elif isinstance(message, _Made):
            self._write(next(each for each in (message.artifact, message.change, message.event) if each is not None))
        else:
            self._send(_encode(self._answer(message)))

    def close_open(self, how: str) -> None:
        """The worker is gone: runs that it began and did not end are over, too."""
        if not self._open_tasks and not self._open_flows:
            return
        state = self.ending(how)
        for run in reversed(self._open_tasks.values()):
            run.enter(state)
            self._write(run)
        for flow_run in reversed(self._open_flows.values()):
            try:
                facts = Facts(retry_wanted=False, epoch_of_writer=flow_run.epoch)
                self._ledger.ask(Enter(flow_run.id, state, facts, lines_lost=flow_run.lines_lost))
            except PenstockError:
                continue  # the run has a holder that is gone, so whoever opens the record next closes it
        self._open_tasks.clear()
        self._open_flows.clear()

    def _write(self, fact: Fact) -> None:
        try:
            self._ledger.write(fact)
        except RecordError:
            # The ledger has the fact and no room for more: the worker is not read from for a while.
            time.sleep(0.1)

    def _answer(self, asked: _Asked) -> _Answered:
        question = asked.question
        if isinstance(question, CountRun):
            return _Answered(asked.number, count=self.count(question.task_name))
        try:
            answer = self._ledger.ask(question)
        except Exception as error:
            return _Answered(asked.number, problem=(type(error).__name__, str(error)))
        if isinstance(answer, Entered):
            self._note(question, answer)
            return _Answered(asked.number, entered=answer)
        return _Answered(asked.number, cached=answer)

    def _note(self, question: Question, answer: Entered) -> None:
        """Keeps account of the flow runs that the worker has under way."""
        if isinstance(question, Begin) and not answer.state.is_final():
            self._open_flows[question.run.id] = question.run
        elif isinstance(question, Enter) and answer.state.is_final():
            self._open_flows.pop(question.run_id, None)
