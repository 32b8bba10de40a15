"""Flow runs, task runs and lines as an engine reports them, made without running anything; and their reporting."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from penstock.domain.ids import flow_id, uuid7
from penstock.domain.logs import LogLine
from penstock.domain.rules import Facts
from penstock.domain.runs import FlowRun, ResultRef, TaskRun
from penstock.domain.states import State, StateType
from penstock.engine import identity
from penstock.protocol.journal import MSGPACK, PATH, Asked, Begin, Enter, Fact, Question, batch_of, encoded
from penstock.transport import Transport

PENDING, RUNNING, COMPLETED = StateType.PENDING, StateType.RUNNING, StateType.COMPLETED
HEADERS = {"content-type": MSGPACK, "accept": MSGPACK}
ONE = ResultRef("json", inline=b"1", size=1)
A_MOMENT = timedelta(microseconds=40)
INFO = 20


def now() -> datetime:
    return datetime.now(UTC)


class Maker:
    """Makes what is reported; of one `seed` always the same, but for ids and moments."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def id(self, at: datetime) -> UUID:
        return uuid7(round(at.timestamp() * 1e9), self.random.getrandbits(62))

    def flow_run(self, flow: str, at: datetime, *states: State[Any], **fields: Any) -> FlowRun:
        id = self.id(at)
        return FlowRun(
            id=id,
            name=fields.pop("name", f"run-{id.hex[-12:]}"),
            flow_id=flow_id(flow),
            flow_name=flow,
            created=at,
            expected_start_time=at,
            states=states or (State(PENDING, "Pending", at),),
            version=len(states) or 1,
            parameters={"n": "100"},
            **fields,
        )

    def task_run(
        self, flow_run: UUID, number: int, at: datetime, *, task: str = "work", last: StateType = COMPLETED
    ) -> TaskRun:
        """One that has ended, after Pending and Running."""
        running, ended = at + A_MOMENT, at + 2 * A_MOMENT
        return TaskRun(
            id=self.id(at),
            name=f"{task}-{number}",
            task_name=task,
            task_key=f"__main__.{task}",
            dynamic_key=str(number),
            flow_run_id=flow_run,
            created=at,
            states=(
                State(PENDING, "Pending", at),
                State(RUNNING, "Running", running),
                State(last, "", ended),
            ),
            version=3,
            run_count=1,
            parameters={"x": str(number)},
            result=ONE if last is COMPLETED else None,
        )


def line(flow_run: UUID, task_run: UUID | None, seq: int, at: datetime, message: str, level: int = INFO) -> LogLine:
    return LogLine(flow_run, task_run, seq, at, level, message, "penstock.task_runs")


class Reporter:
    """What an engine's ledger does: sends batches to a server, as this process, which executes runs."""

    def __init__(self, url: str, maker: Maker, *, patience: float = 0.0) -> None:
        self.transport = Transport(url, patience=patience)
        self._maker = maker
        self._patience = patience

    def body(self, facts: list[Fact], *questions: Question) -> bytes:
        asked = [Asked(self._maker.id(now()).hex, question) for question in questions]
        return encoded(batch_of(identity.me(), facts, asked, attending=True))

    def send(self, body: bytes) -> None:
        self.transport.send("POST", PATH, body, HEADERS, try_for=self._patience)

    def begin(self, flow: str) -> FlowRun:
        """A flow run that this process executes."""
        at = now()
        run = self._maker.flow_run(flow, at, holder=identity.me())
        self.send(self.body([], Begin(run, State(RUNNING, "Running", at + A_MOMENT))))
        return run

    def end(self, run: FlowRun) -> None:
        facts = Facts(epoch_of_writer=run.epoch)
        self.send(self.body([], Enter(run.id, State(COMPLETED, "Completed", now()), facts, run_count=1)))
