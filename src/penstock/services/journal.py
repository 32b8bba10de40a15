"""Taking in what processes send: batches of facts and questions, several at once in one transaction.

Law: a batch is recorded whole or not at all; sent twice, it is recorded once, and its questions are answered as they
were the first time. A batch that cannot be recorded as it is stands in no other's way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ..domain.errors import BadRequest, PenstockError, RecordError
from ..domain.limits import LEASE
from ..domain.runs import Holder
from ..protocol.deeds import Deed
from ..protocol.journal import ANSWERS, Asked, Batch, Begin, Enter, Reopen, Take, answers_to
from ..protocol.problems import Problem, error_of, problem_of
from ..store import answered, holders, unconfirmed
from ..store.contract import Store, Tx
from . import ingest, questions, reinstating

# Renewed when less is left: a holder sends some hundred batches a second.
RENEW_WHEN_LEFT = LEASE - timedelta(seconds=5)
# What changes nothing can be asked again as it is.
CHANGING = (Begin, Enter, Take, Reopen)
ERROR = 500

_encode = msgspec.msgpack.Encoder().encode


def take(store: Store, batches: Sequence[Batch], now: Callable[[], datetime]) -> list[Any]:
    """Records batches; for each its `Answers`, or the exception that it could not be recorded for. Raises `RecordError`
    when nothing can be recorded at the moment."""
    try:
        with store.write() as tx:
            taken = _take(tx, batches, now())
    except RecordError:
        raise
    except Exception as error:
        if len(batches) == 1:
            return [error]
        return [answer for batch in batches for answer in take(store, [batch], now)]
    return [answers_to(questions.told(store, answer) for answer in each) for each in taken]


def _take(tx: Tx, batches: Sequence[Batch], now: datetime) -> list[list[Any]]:
    """The answers to each batch's questions. Facts of many batches are recorded with one another, which spares the
    database most statements: they are of processes that have heard nothing of each other yet, so that any order is
    true in which each one's own is kept. Before a question is answered, the facts of its batch are recorded."""
    taken: list[list[Any]] = [[] for _ in batches]
    given = _Given(tx, batches)
    for piece in _pieces(batches):
        _attend(tx, [batches[place] for place in piece], now)
        for some in _rounds(batches, piece):
            ingest.apply(tx, [fact for place in some for fact in batches[place].facts()])
            for place in some:
                taken[place] = [_answer(tx, asked, given) for asked in batches[place].questions]
    answered.put_all(tx, given.new, now)
    return taken


def _pieces(batches: Sequence[Batch]) -> Iterator[Sequence[int]]:
    """The places of batches whose leases can be seen to together: a deed may end those of others, and what comes behind
    it has to see that."""
    start = 0
    for place, batch in enumerate(batches):
        if _has_deed(batch):
            yield range(start, place + 1)
            start = place + 1
    if start < len(batches):
        yield range(start, len(batches))


def _rounds(batches: Sequence[Batch], piece: Sequence[int]) -> list[list[int]]:
    """Places that are recorded together: of each process its batches up to the next question, and then the others; a
    deed comes last."""
    rounds: list[list[int]] = []
    count: dict[Holder, int] = {}
    for place in piece:
        batch = batches[place]
        number = len(rounds) if _has_deed(batch) else count.get(batch.holder, 0)
        count[batch.holder] = number + bool(batch.questions)
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(place)
    return rounds


def _has_deed(batch: Batch) -> bool:
    return any(isinstance(asked.question, Deed) for asked in batch.questions)


def _attend(tx: Tx, batches: Sequence[Batch], now: datetime) -> None:
    """Keeps the leases of processes: read in one statement and renewed in another, for there may be ten thousand. One
    that has none is new, or was taken for dead: perhaps it was not."""
    leases = holders.leases_of(tx, {batch.holder for batch in batches})
    left = unconfirmed.of(tx, {batch.holder for batch in batches} - leases.keys())
    renewed: dict[Holder, bool] = {}
    for batch in batches:
        lease = leases.get(batch.holder)
        if lease is None:
            reinstating.reinstate(tx, batch, left.get(batch.holder, ()), now)
        if batch.attending and (lease is None or lease < now + RENEW_WHEN_LEFT):
            renewed[batch.holder] = batch.may_be_killed
            leases[batch.holder] = now + LEASE
    if renewed:
        holders.renew(tx, renewed, now + LEASE)


class _Given:
    """Answers by the key of their question: those that were given before to any of these, and those of this
    transaction, which are `new`."""

    def __init__(self, tx: Tx, batches: Sequence[Batch]) -> None:
        changing = (asked for batch in batches for asked in batch.questions if isinstance(asked.question, CHANGING))
        self._before = answered.get_all(tx, {_key(asked) for asked in changing})
        self.new: dict[str, answered.Given] = {}

    def get(self, key: str) -> answered.Given | None:
        return self.new.get(key) or self._before.get(key)


def _key(asked: Asked) -> str:
    return f"journal:{asked.key}"


def _answer(tx: Tx, asked: Asked, given: _Given) -> Any:
    question = asked.question
    if not isinstance(question, CHANGING):
        return questions.answer(tx, question)
    digest = hashlib.blake2b(_encode(question), digest_size=16).digest()
    before = given.get(_key(asked))
    if before is not None:
        return _again(before, digest, question)
    answer = questions.answer(tx, question)
    status = ERROR if isinstance(answer, PenstockError) else 200
    body = _encode(problem_of(answer) if isinstance(answer, PenstockError) else answer)
    given.new[_key(asked)] = answered.Given(digest, status, body)
    return answer


def _again(given: answered.Given, digest: bytes, question: Any) -> Any:
    if given.digest != digest:
        return BadRequest("This key was used for another question; every question has a key of its own.")
    if given.status == ERROR:
        return error_of(msgspec.msgpack.decode(given.body, type=Problem))
    return msgspec.msgpack.decode(given.body, type=ANSWERS[type(question)])
