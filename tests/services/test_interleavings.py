"""No interleaving of finishing, timing out, cancelling, crashing and coming late writes a second end, or a value after
the end."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from penstock.domain.ids import flow_id
from penstock.domain.rules import Facts
from penstock.domain.runs import FlowRun, Holder, ResultRef, TaskRun
from penstock.domain.states import CANCELLING, COMPLETED, State, make
from penstock.domain.stops import KILLED, RETURNED, Stilled
from penstock.exceptions import TransitionRefused
from penstock.services import cancelling, ingest, orchestrate, proof, rescue
from penstock.store import flow_runs, task_runs
from penstock.store.sqlite import SqliteStore

from ..store.kit import flow_run, task_run

START = datetime(2026, 1, 1, tzinfo=UTC)
HOLDER = Holder("here", "boot", 7, "1")
VALUE = ResultRef("json", b"1")
ENDS = ("Completed", "Failed", "TimedOut", "Crashed", "Cancelled")
ends = st.sampled_from(ENDS)


def ending(name: str, now: datetime, confirmed: bool = True) -> State[Any]:
    details = {"stopped": "raised" if confirmed else "abandoned", "confirmed": confirmed, "seconds_to_stop": 0.1}
    return make(name, now, message=name, details=None if name == "Completed" else details)


class Interleavings(RuleBasedStateMachine):
    """A flow run with one task run; its own engine, other processes, and an engine that lost the run, all write."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = SqliteStore(Path(self.folder.name) / "penstock.db")
        self.moment = START
        self.dead = False
        self.ends: dict[str, State[Any]] = {}
        self.values: dict[str, ResultRef | None] = {}

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def now(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment

    def lives(self, holder: Holder) -> bool:
        return not self.dead

    @initialize()
    def begin(self) -> None:
        self.flow = flow_run(holder=HOLDER, flow_id=flow_id("f"), states=(make("Pending", self.now()),), version=1)
        with self.store.write() as tx:
            orchestrate.begin(tx, self.flow, make("Running", self.now()))
        self.task = task_run(flow_run_id=self.flow.id, states=(make("Pending", self.now()),), version=1, epoch=1)
        self.task.enter(make("Running", self.now()))
        self.report(self.task)

    def report(self, run: TaskRun) -> None:
        with self.store.write() as tx:
            ingest.apply(tx, [run])

    # --- the flow run ------------------------------------------------------------------------------------------------

    @rule(name=ends, epoch=st.sampled_from([1, 1, 2]), confirmed=st.booleans(), value=st.booleans())
    def the_flow_ends(self, name: str, epoch: int, confirmed: bool, value: bool) -> None:
        with self.store.write() as tx:
            state = ending(name, self.now(), confirmed)
            facts = Facts(retry_wanted=False, epoch_of_writer=epoch)
            orchestrate.enter(tx, self.flow.id, state, facts, result=VALUE if value else None)

    @rule(epoch=st.sampled_from([1, 2]))
    def the_flow_fails_and_would_be_tried_again(self, epoch: int) -> None:
        with self.store.write() as tx:
            facts = Facts(attempts=1, retries=3, epoch_of_writer=epoch)
            orchestrate.enter(tx, self.flow.id, ending("Failed", self.now()), facts)

    @rule(epoch=st.sampled_from([1, 2]))
    def the_flow_goes_on(self, epoch: int) -> None:
        with self.store.write() as tx:
            orchestrate.enter(tx, self.flow.id, make("Retrying", self.now()), Facts(epoch_of_writer=epoch))

    @rule(grace=st.sampled_from([None, 0.0, 5.0]))
    def somebody_cancels_the_flow(self, grace: float | None) -> None:
        try:
            cancelling.cancel_flow_run(
                self.store, self.flow.id, who="ann", grace=grace, now=self.now(), lives=self.lives
            )
        except TransitionRefused:
            assert "flow" in self.ends

    @rule(dead=st.booleans())
    def the_process_may_die(self, dead: bool) -> None:
        self.dead = self.dead or dead
        rescue.rescue(self.store, self.lives, self.now)

    @rule(name=st.sampled_from(["TimedOut", "Cancelled"]))
    def another_process_closes_it_as_it_does_not_answer(self, name: str) -> None:
        with self.store.write() as tx:
            run = flow_runs.get(tx, self.flow.id)
            assert run is not None
            if not run.state.is_final():
                rescue.close(tx, run, ending(name, self.now(), confirmed=False))

    # --- the task run ------------------------------------------------------------------------------------------------

    @rule(name=ends, ahead=st.integers(-1, 3), epoch=st.sampled_from([1, 2]), confirmed=st.booleans())
    def the_task_ends(self, name: str, ahead: int, epoch: int, confirmed: bool) -> None:
        """Reported once more, out of order, by whoever thinks that the run is his."""
        run = msgspec.structs.replace(self.task, epoch=epoch)
        run.enter(ending(name, self.now(), confirmed))
        run.version += ahead
        if name == "Completed":
            run.result = VALUE
        self.report(run)

    @rule(ahead=st.integers(-1, 3))
    def the_task_goes_on(self, ahead: int) -> None:
        run = msgspec.structs.replace(self.task)
        run.enter(make("AwaitingRetry", self.now()))
        run.version += ahead
        self.report(run)

    @rule()
    def somebody_cancels_the_task(self) -> None:
        try:
            cancelling.cancel_task_run(self.store, self.task.id, who="ann", grace=None, now=self.now())
        except TransitionRefused:
            assert "task" in self.ends

    # --- proof -------------------------------------------------------------------------------------------------------

    @rule(of_flow=st.booleans(), how=st.sampled_from([KILLED, RETURNED]), seconds=st.floats(0, 100))
    def code_comes_to_its_end_later(self, of_flow: bool, how: str, seconds: float) -> None:
        with self.store.write() as tx:
            proof.confirm(tx, Stilled((self.flow if of_flow else self.task).id, 0, how, seconds))

    # --- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def what_has_ended_stays_as_it_ended(self) -> None:
        with self.store.read() as tx:
            found: dict[str, FlowRun | TaskRun | None] = {
                "flow": flow_runs.get(tx, self.flow.id),
                "task": task_runs.get(tx, self.task.id),
            }
        for kind, run in found.items():
            assert run is not None
            finals = [state for state in run.states if state.is_final()]
            assert len(finals) <= 1
            if not finals:
                assert kind not in self.ends
                continue
            assert run.states[-1] is finals[0]
            if kind not in self.ends:
                self.ends[kind], self.values[kind] = finals[0], run.result
            self.stays(self.ends[kind], finals[0])
            self.ends[kind] = finals[0]
            assert run.result == self.values[kind]
            assert run.result is None or finals[0].type is COMPLETED

    def stays(self, before: State[Any], after: State[Any]) -> None:
        """Only what is said of the code may change, and only from not known to known."""
        plain = [msgspec.structs.replace(state, details=None) for state in (before, after)]
        assert plain[0] == plain[1]
        if before.details != after.details:
            assert (before.details or {}).get("confirmed") is False
            assert (after.details or {}).get("confirmed") is True

    @invariant()
    def a_task_run_is_over_when_its_flow_run_was_closed_from_outside(self) -> None:
        with self.store.read() as tx:
            run = flow_runs.get(tx, self.flow.id)
            task = task_runs.get(tx, self.task.id)
        assert run is not None
        assert task is not None
        if run.epoch > 1:
            assert task.state.is_final()

    @invariant()
    def who_was_told_cancelling_is_not_told_otherwise(self) -> None:
        with self.store.read() as tx:
            run = flow_runs.get(tx, self.flow.id)
        assert run is not None
        types = [state.type for state in run.states]
        if CANCELLING in types and run.state.is_final():
            assert run.state.is_cancelled()


Interleavings.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestInterleavings = Interleavings.TestCase
