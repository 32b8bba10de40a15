"""What engines report to a record, and ask of it: facts, questions, and the batches in which both travel.

**Facts** are reported and not waited for; said twice, they change nothing. **Questions** are asked, and the engine goes
on with the answer. A question is answered after all facts reported before it (by its process) are recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from ..domain.artifacts import Artifact, ArtifactChange
from ..domain.caching import CacheEntry
from ..domain.errors import PenstockError
from ..domain.events import Event
from ..domain.logs import LogLine
from ..domain.pauses import Pause
from ..domain.reopening import Recalled, Reopened
from ..domain.rules import Facts
from ..domain.runs import STATES_KEPT, Arguments, Entrypoint, FlowRun, Holder, ResultRef, TaskRun
from ..domain.states import State
from ..domain.stops import Stilled
from ..domain.transition import Entered
from .deeds import CloseEnforced, CloseGone, CloseKilled, CloseStopped, Deed, FindRequests, Request
from .problems import Problem, error_of, problem_of

PATH = "/journal"
MSGPACK = "application/msgpack"
# No run changes more often; streams and the record count with it.
LATEST_VERSION = 2**31 - 1


class Begin(msgspec.Struct, frozen=True, tag=True):
    """May this flow run, new to the record, start? Answer: `Entered`."""

    run: FlowRun
    running: State[Any]
    arguments: Arguments | None = None


class Enter(msgspec.Struct, frozen=True, tag=True):
    """May this flow run enter this state? Answer: `Entered`.

    Also a fact, where the record could not be asked: the run has entered the state, as far as its process can tell.
    """

    run_id: UUID
    state: State[Any]
    facts: Facts
    run_count: int | None = None
    result: ResultRef | None = None
    deadline: datetime | None = None
    lines_lost: int = 0
    # of a run that was recorded before its flow was loaded: what only that could tell
    name: str | None = None
    parameters: dict[str, str] | None = None
    # all of them, where they name the run's trace since
    labels: dict[str, str] | None = None


class Take(msgspec.Struct, frozen=True, tag=True):
    """May this process execute a flow run that waits, or was claimed to be launched? Answer: `Reopened`, with nothing
    that earlier attempts left."""

    run_id: UUID
    now: datetime
    holder: Holder


class Recall(msgspec.Struct, frozen=True, tag=True):
    """What is known of a flow run that is to be entered again? Answer: `Recalled`."""

    run_id: UUID


class Reopen(msgspec.Struct, frozen=True, tag=True):
    """May this process enter a flow run again that has ended? Answer: `Reopened`, with what its attempts left."""

    run_id: UUID
    who: str
    now: datetime
    holder: Holder
    entrypoint: Entrypoint | None = None


class BeginPause(msgspec.Struct, frozen=True, tag=True):
    """This flow run waits from now on. Answer: `Pause`; one of its key that was resumed before, where there is one.
    With `look` that is all that is asked."""

    pause: Pause
    epoch: int
    now: datetime
    look: bool = False


class TakeAnswer(msgspec.Struct, frozen=True, tag=True):
    """How does this pause stand? Answer: `Pause`.

    With `goes_on` the run goes on when it is answered or over: it is Running again, until `deadline`; or, where its
    process cannot use the answer for this `problem`, waits on. `withdrawn`: it goes on in any case.
    """

    id: UUID
    epoch: int
    now: datetime
    goes_on: bool = False
    deadline: datetime | None = None
    problem: str | None = None
    withdrawn: bool = False


class FindCached(msgspec.Struct, frozen=True, tag=True):
    """Is there a value for this key? Answer: `Cached` or None."""

    key: str
    now: datetime


class Flush(msgspec.Struct, frozen=True, tag=True):
    """Is everything reported so far recorded? Answer: None, when it is."""


class Cached(msgspec.Struct, frozen=True):
    """A value made before, and the task run that made it."""

    task_run_id: UUID
    result: ResultRef


Fact = TaskRun | LogLine | CacheEntry | Stilled | Enter | Artifact | ArtifactChange | Event
Question = Begin | Enter | Take | Recall | Reopen | BeginPause | TakeAnswer | FindCached | Flush | Deed

ANSWERS: dict[type[Any], Any] = {
    Begin: Entered,
    Enter: Entered,
    Take: Reopened,
    Recall: Recalled,
    Reopen: Reopened,
    BeginPause: Pause,
    TakeAnswer: Pause,
    FindCached: Cached | None,
    Flush: None,
    CloseStopped: bool,
    CloseKilled: None,
    FindRequests: list[Request],
    CloseEnforced: str,
    CloseGone: None,
}


class Asked(msgspec.Struct, frozen=True):
    """A question on its way. `key` is its own: sent again, it is answered as it was the first time."""

    key: Annotated[str, msgspec.Meta(min_length=8, max_length=64)]
    question: Question


class Batch(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a process sends at once, and what is recorded at once: facts in the order of the fields, then questions.

    `holder` is the process. `attending` says that it executes runs, and keeps its lease: its runs are its own for a
    minute from now. `may_be_killed`: it may be ended when a run in it does not stop.
    """

    holder: Holder
    task_runs: list[TaskRun] = []
    lines: list[LogLine] = []
    cached: list[CacheEntry] = []
    stilled: list[Stilled] = []
    entered: list[Enter] = []
    artifacts: list[Artifact] = []
    changed: list[ArtifactChange] = []
    events: list[Event] = []
    questions: list[Asked] = []
    attending: bool = False
    may_be_killed: bool = False

    def facts(self) -> list[Fact]:
        return [
            *self.task_runs, *self.lines, *self.cached, *self.stilled, *self.entered,
            *self.artifacts, *self.changed, *self.events,
        ]  # fmt: skip


class Answer(msgspec.Struct, omit_defaults=True):
    """The answer to one question, or the error that it raises where it was asked."""

    value: Any = None
    error: Problem | None = None


class Answers(msgspec.Struct):
    """The answers to a batch's questions, in their order."""

    answers: list[Answer]


_NOTHING = msgspec.Raw(b"\xc0")


class _Answer(msgspec.Struct):
    """An answer whose type is known by its question only."""

    value: msgspec.Raw = _NOTHING
    error: Problem | None = None


class _Answers(msgspec.Struct):
    answers: list[_Answer]


_FIELDS: dict[type[Any], str] = {
    TaskRun: "task_runs", LogLine: "lines", CacheEntry: "cached", Stilled: "stilled", Enter: "entered",
    Artifact: "artifacts", ArtifactChange: "changed", Event: "events",
}  # fmt: skip
_encode = msgspec.msgpack.Encoder().encode
_decode_batch = msgspec.msgpack.Decoder(Batch).decode
_decode_batch_json = msgspec.json.Decoder(Batch).decode
_decode_answers = msgspec.msgpack.Decoder(_Answers).decode


def batch_of(holder: Holder, facts: Iterable[Fact], questions: Iterable[Asked] = (), **more: Any) -> Batch:
    """Of several reports of one task run, which is one object, one is sent: as it is now it says all that they do."""
    bared = [Asked(asked.key, bare(asked.question)) for asked in questions]
    batch = Batch(holder=holder, questions=bared, **more)
    seen: set[int] = set()
    for fact in facts:
        if type(fact) is TaskRun:
            if id(fact) in seen:
                continue
            seen.add(id(fact))
        getattr(batch, _FIELDS[type(fact)]).append(bare(fact))
    return batch


def bare(item: Any) -> Any:
    """A question or fact without the values that states carry in their process: those never travel."""
    if isinstance(item, Enter):
        return item if item.state.data is None else msgspec.structs.replace(item, state=_bare(item.state))
    if isinstance(item, Begin):
        states = item.run.states
        run = item.run
        if any(state.data is not None for state in states):
            run = msgspec.structs.replace(run, states=tuple(map(_bare, states)))
        return msgspec.structs.replace(item, run=run, running=_bare(item.running))
    if isinstance(item, TaskRun) and any(state.data is not None for state in item.states):
        return msgspec.structs.replace(item, states=tuple(map(_bare, item.states)))
    return item


def _bare(state: State[Any]) -> State[Any]:
    return state if state.data is None else msgspec.structs.replace(state, data=None)


def encoded(batch: Batch) -> bytes:
    return _encode(batch)


def batch_in(data: bytes, json: bool = False) -> Batch:
    """Raises `msgspec.MsgspecError` for what is none."""
    batch = _decode_batch_json(data) if json else _decode_batch(data)
    for run in batch.task_runs:
        _check(run)
    for asked in batch.questions:
        if isinstance(asked.question, Begin):
            _check(asked.question.run)
    return batch


def _check(run: TaskRun | FlowRun) -> None:
    """What no type says. Raises `msgspec.ValidationError`."""
    if not 0 < len(run.states) <= STATES_KEPT:
        raise msgspec.ValidationError(f"A run has 1 to {STATES_KEPT} states; {run.id} has {len(run.states)}")
    if not 0 <= run.version <= LATEST_VERSION:
        raise msgspec.ValidationError(
            f"A run has had 0 to {LATEST_VERSION:,} versions; not {run.version:,} as {run.id}"
        )


def answers_to(values: Iterable[Any]) -> Answers:
    """The answers as they travel; `values` may be errors."""
    return Answers(
        [Answer(error=problem_of(each)) if isinstance(each, PenstockError) else Answer(value=each) for each in values]
    )


def answers_in(data: bytes, questions: Sequence[Asked]) -> list[Any]:
    """The answers to these questions, each a value or an error. Raises `msgspec.MsgspecError`."""
    found: list[Any] = []
    for asked, answer in zip(questions, _decode_answers(data).answers, strict=True):
        if answer.error is not None:
            found.append(error_of(answer.error))
        else:
            found.append(msgspec.msgpack.decode(answer.value, type=ANSWERS[type(asked.question)]))
    return found
