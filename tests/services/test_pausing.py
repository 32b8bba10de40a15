"""Pauses in the record: whatever comes in whichever order, a run is resumed once at most, and waits for ever never. On
each database."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from penstock.domain.accounts import OPERATOR, VIEWER, Asker
from penstock.domain.ids import flow_id
from penstock.domain.pauses import OnTimeout, Outcome, Pause
from penstock.domain.rules import Facts
from penstock.domain.runs import FlowRun, Holder
from penstock.domain.states import make
from penstock.domain.stops import RESUME
from penstock.engine.clock import SYSTEM
from penstock.exceptions import InputRefused, NotAllowed, NotPausedError, TransitionRefused
from penstock.protocol.flow_runs import APPROVE_FLOW_RUN, RESUME_FLOW_RUN, ResumeRun
from penstock.protocol.journal import BeginPause, TakeAnswer
from penstock.services import answers, cancelling, orchestrate, pausing, rescue
from penstock.services.desk import Desk
from penstock.services.reading import delete_flow_runs
from penstock.services.reopening import reopen
from penstock.store import flow_runs, pauses, signals
from penstock.store.contract import Store
from penstock.store.sqlite import SqliteStore
from penstock.vault import Vault

from ..store.kit import at, flow_run

assert answers  # where operations are answered
ME, NEXT = Holder("here", "boot", 7, "1"), Holder("here", "boot", 8, "2")
FIELDS = {"type": "object", "properties": {"approved": {"type": "boolean"}}, "required": ["approved"]}


class Office:
    """A record, a clock of the test's own, and processes that live or not."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.second = 0.0
        self.dead: set[Holder] = set()

    def now(self) -> datetime:
        return at(self.second)

    def lives(self, holder: Holder) -> bool | None:
        return holder not in self.dead

    def run(self, **fields: Any) -> FlowRun:
        fields = {"holder": ME, "flow_id": flow_id("f"), **fields}
        made = flow_run(id=SYSTEM.new_id(), states=(make("Pending", self.now()),), version=1, **fields)
        with self.store.write() as tx:
            orchestrate.begin(tx, made, make("Running", self.now()))
        return self.read(made)

    def read(self, run: FlowRun) -> FlowRun:
        with self.store.read() as tx:
            found = flow_runs.get(tx, run.id)
        assert found is not None
        return found

    def pause(self, run: FlowRun, timeout: float | None = 60, key: str = "1", **fields: Any) -> Pause:
        deadline = None if timeout is None else self.now() + timedelta(seconds=timeout)
        made = Pause(
            id=SYSTEM.new_id(), flow_run_id=run.id, key=key, begun=self.now(), deadline=deadline, **fields
        )  # fmt: skip
        with self.store.write() as tx:
            return pausing.begin(tx, BeginPause(made, run.epoch, self.now()))

    def take(self, pause: Pause, epoch: int = 1, **fields: Any) -> Pause:
        with self.store.write() as tx:
            return pausing.take(tx, TakeAnswer(pause.id, epoch, self.now(), goes_on=True, **fields))

    def resume(self, run: FlowRun, input: Any = None, who: str = "ann") -> FlowRun:
        by = pausing.Person(who, who)
        return pausing.resume(self.store, run.id, by, now=self.now(), lives=self.lives, input=input, comment="fine")

    def expire(self) -> int:
        return pausing.expire(self.store, self.now(), self.lives)

    def rescue(self) -> None:
        rescue.rescue(self.store, self.lives, self.now)

    def signals(self) -> list[str]:
        with self.store.read() as tx:
            return [each.kind for each in signals.all(tx)]

    def latest(self, run: FlowRun) -> Pause:
        with self.store.read() as tx:
            found = pauses.latest(tx, run.id)
        assert found is not None
        return found


@pytest.fixture
def office(store: Store) -> Office:
    return Office(store)


def test_a_run_whose_process_is_gone_waits_on_and_is_entered_again(office: Office) -> None:
    run = office.run()
    pause = office.pause(run)
    office.dead.add(ME)
    office.second = 10
    office.rescue()
    run = office.read(run)
    assert (run.state.name, run.holder, run.epoch) == ("Suspended", None, 2)
    assert "the pause stands" in (run.state.message or "")
    with pytest.raises(TransitionRefused):  # should that process turn up again
        office.take(pause)
    run = office.resume(run)
    assert (run.state.name, run.holder) == ("Resuming", None)
    assert office.signals() == []
    with office.store.write() as tx:
        entered = reopen(tx, run.id, who="ann", now=office.now(), holder=NEXT)
    assert entered.run.holder == NEXT
    with office.store.write() as tx:
        orchestrate.enter(tx, run.id, make("Running", office.now()), Facts(epoch_of_writer=entered.run.epoch))
    again = office.pause(entered.run)
    assert again.id == pause.id
    assert again.answer is not None
    assert office.read(run).state.is_running()


def test_a_process_that_dies_between_the_answer_and_going_on_is_no_crash(office: Office) -> None:
    run = office.run()
    office.pause(run)
    office.resume(run)
    office.dead.add(ME)
    office.rescue()
    run = office.read(run)
    assert (run.state.name, run.holder, office.signals()) == ("Resuming", None, [])
    with office.store.write() as tx:
        assert reopen(tx, run.id, who="ann", now=office.now(), holder=NEXT).run.holder == NEXT


def test_what_some_have_approved_stands_when_the_process_is_lost(office: Office) -> None:
    run = office.run()
    office.pause(run, approval=True, quorum=2)
    office.resume(run, who="ann")
    office.dead.add(ME)
    office.rescue()
    assert office.read(run).state.name == "Suspended"
    entered = office.read(run)
    with office.store.write() as tx:  # as by a retry of the run that it is a part of
        orchestrate.enter(tx, run.id, make("Running", office.now()), Facts(epoch_of_writer=entered.epoch))
    again = office.pause(entered, approval=True, quorum=2)
    assert [each.name for each in again.decisions] == ["ann"]
    assert office.resume(run, who="bob").state.name == "Resuming"


def test_only_one_process_enters_a_run_that_was_resumed(office: Office) -> None:
    run = office.run()
    office.pause(run, suspended=True)
    office.resume(run)
    with office.store.write() as tx:
        reopen(tx, run.id, who="ann", now=office.now(), holder=NEXT)
    with pytest.raises(TransitionRefused), office.store.write() as tx:
        reopen(tx, run.id, who="bob", now=office.now(), holder=ME)


def test_nobody_answers_after_the_deadline_even_if_nobody_noticed_it(office: Office) -> None:
    run = office.run()
    office.pause(run, timeout=5)
    office.second = 5
    with pytest.raises(NotPausedError, match="was over at"):
        office.resume(run)
    office.second = 4.999
    assert office.resume(run).state.name == "Resuming"


def test_a_process_that_waits_ends_its_pause_and_the_server_those_of_nobody(office: Office) -> None:
    waits, gone, suspended, default = (office.run() for _ in range(4))
    pause = office.pause(waits, timeout=5)
    office.pause(gone, timeout=5)
    office.pause(suspended, timeout=5, suspended=True)
    office.pause(default, timeout=5, suspended=True, on_timeout=OnTimeout.RESUME, default={"approved": False})
    with office.store.write() as tx:  # it was another's
        run = office.read(gone)
        run.holder = NEXT
        run.version += 1
        flow_runs.put(tx, run)
    office.dead.add(NEXT)
    office.second = 4
    assert office.expire() == 0
    office.second = 6
    assert office.expire() == 3
    assert office.expire() == 0
    assert office.read(waits).state.is_paused()
    for run in (gone, suspended):
        assert str(office.read(run).state) == "Failed('The flow was paused and never resumed.')"
        answer = office.latest(run).answer
        assert answer is not None
        assert (answer.outcome, answer.at) == (Outcome.EXPIRED, at(5))
    assert office.read(default).state.name == "Resuming"
    answer = office.latest(default).answer
    assert answer is not None
    assert answer.input == {"approved": False}
    assert office.take(pause).answer is not None
    assert office.read(waits).state.is_running()


def test_many_are_over_at_once(office: Office) -> None:
    runs = [office.run() for _ in range(pausing.AT_ONCE + 3)]
    waiting = office.run()
    office.pause(waiting, timeout=5)  # first in the order, and not the server's to end
    for run in runs:
        office.pause(run, timeout=6, suspended=True)
    office.second = 7
    assert office.expire() == len(runs)
    assert office.read(runs[-1]).state.is_failed()


def test_the_end_of_a_run_ends_its_pause(office: Office) -> None:
    run = office.run()
    office.pause(run, suspended=True)
    cancelled = cancelling.cancel_flow_run(
        office.store, run.id, who="bob", grace=None, now=office.now(), lives=office.lives
    )
    assert cancelled.state.name == "Cancelled"
    answer = office.latest(run).answer
    assert answer is not None
    assert answer.outcome is Outcome.WITHDRAWN
    delete_flow_runs(office.store, [run.id])
    with office.store.read() as tx:
        assert pauses.of_run(tx, run.id) == []


def test_input_is_checked_by_the_schema_before_anything_changes(office: Office) -> None:
    run = office.run()
    pause = office.pause(run, schema=FIELDS)
    for wrong in (None, [], {"approved": "yes"}, {"$ref": "file:///etc/passwd"}):
        with pytest.raises(InputRefused):
            office.resume(run, wrong)
    assert office.read(run).state.is_paused()
    assert office.signals() == []
    office.resume(run, {"approved": True})
    assert office.signals() == [RESUME]
    taken = office.take(pause)
    assert taken.answer is not None
    assert (taken.answer.input, taken.answer.who, taken.answer.comment) == ({"approved": True}, "ann", "fine")
    assert office.signals() == []


def test_a_default_that_cannot_be_used_ends_the_pause(office: Office) -> None:
    run = office.run()
    pause = office.pause(run, timeout=5, on_timeout=OnTimeout.RESUME, default=1)
    office.second = 6
    taken = office.take(pause, problem="it is no text")
    assert taken.answer is not None
    assert taken.answer.outcome is Outcome.EXPIRED


def test_what_waits_is_listed_the_oldest_first(office: Office) -> None:
    runs = [office.run() for _ in range(3)]
    for run in runs:
        office.pause(run)
        office.second += 1
    office.resume(runs[0])
    found = pausing.listed(office.store, None, 10, None)
    assert [run.id for _, run in found] == [runs[1].id, runs[2].id]
    assert [run.id for _, run in pausing.listed(office.store, None, 10, found[0][0].id)] == [runs[2].id]
    assert len(pausing.listed(office.store, runs[0].id, 10, None)) == 1


class Waits(RuleBasedStateMachine):
    """A flow that waits once and then completes; its processes, people, and the server, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.office = Office(SqliteStore(Path(self.folder.name) / "penstock.db"))
        # the process that executes the run: who, under which epoch, and what it waits for
        self.holder: Holder | None = ME
        self.epoch = 1
        self.pause: Pause | None = None
        self.processes = 1
        self.resumed: list[str] = []
        self.went_on = 0

    def teardown(self) -> None:
        try:
            self.drain()
        finally:
            self.office.store.close()
            self.folder.cleanup()

    @initialize(suspended=st.booleans(), resumes=st.booleans())
    def begin(self, suspended: bool, resumes: bool) -> None:
        self.run = self.office.run()
        self.suspends = suspended
        self.on_timeout = OnTimeout.RESUME if resumes else OnTimeout.FAIL

    @property
    def state(self) -> Any:
        return self.office.read(self.run).state

    # --- the process ---

    @rule()
    def the_process_goes_on(self) -> None:
        """To its pause, from its pause, to its end: as far as it comes."""
        if self.holder is None:
            return
        try:
            if self.pause is None:
                self._to_its_pause()
            else:
                self._from_its_pause()
        except TransitionRefused:
            self.holder = None  # it lost the run, or that is stopped

    def _to_its_pause(self) -> None:
        run = self.office.read(self.run)
        run.epoch = self.epoch
        pause = self.office.pause(run, timeout=20, suspended=self.suspends, on_timeout=self.on_timeout)
        if pause.answer is not None:
            self._complete(pause)
        elif self.suspends:
            self.holder = None
        else:
            self.pause = pause

    def _from_its_pause(self) -> None:
        assert self.pause is not None
        pause = self.office.take(self.pause, self.epoch)
        if pause.answer is not None:
            self.pause = None
            self._complete(pause)

    def _complete(self, pause: Pause) -> None:
        assert pause.answer is not None
        name = "Failed" if pause.answer.outcome is Outcome.EXPIRED else "Completed"
        self.went_on += 1
        with self.office.store.write() as tx:
            facts = Facts(retry_wanted=False, epoch_of_writer=self.epoch)
            orchestrate.enter(tx, self.run.id, make(name, self.office.now()), facts)
        self.holder = None

    @rule()
    def the_process_dies(self) -> None:
        if self.holder is not None:
            self.office.dead.add(self.holder)
            self.holder = self.pause = None

    @rule()
    def somebody_enters_the_run(self) -> None:
        if self.state.is_final():  # that would be a retry, which waits anew
            return
        self.processes += 1
        holder = Holder("here", "boot", 100 + self.processes, "1")
        try:
            with self.office.store.write() as tx:
                entered = reopen(tx, self.run.id, who="ann", now=self.office.now(), holder=holder).run
                facts = Facts(epoch_of_writer=entered.epoch)
                orchestrate.enter(tx, entered.id, make("Running", self.office.now()), facts)
        except TransitionRefused:
            return
        assert self.holder is None, "a process has the run"
        self.holder, self.epoch, self.pause = holder, entered.epoch, None

    # --- people, and the server ---

    @rule(who=st.sampled_from(["ann", "bob"]))
    def somebody_resumes_it(self, who: str) -> None:
        try:
            self.office.resume(self.run, who=who)
        except NotPausedError:
            return
        self.resumed.append(who)

    @rule()
    def somebody_cancels_it(self) -> None:
        office = self.office
        try:
            cancelling.cancel_flow_run(
                office.store, self.run.id, who="bob", grace=None, now=office.now(), lives=office.lives
            )
        except TransitionRefused:
            return
        if self.holder is not None:  # it hears of that
            with office.store.write() as tx:
                facts = Facts(epoch_of_writer=self.epoch)
                orchestrate.enter(tx, self.run.id, make("Cancelled", office.now()), facts)
            self.holder = self.pause = None

    @rule(seconds=st.sampled_from([1, 8, 30]))
    def time_passes(self, seconds: int) -> None:
        self.office.second += seconds

    @rule()
    def the_server_looks(self) -> None:
        self.office.rescue()
        self.office.expire()

    # --- what must be ---

    @invariant()
    def it_is_resumed_and_goes_on_once_at_most(self) -> None:
        assert len(self.resumed) <= 1, self.resumed
        assert self.went_on <= 1

    @invariant()
    def who_waits_can_be_answered(self) -> None:
        if not hasattr(self, "run") or not self.state.is_paused():
            return
        assert self.office.latest(self.run).answer is None, "answered, and it waits still"

    def drain(self) -> None:
        """Whatever has happened: when time passes, processes go on and somebody enters what nobody has, it ends."""
        if not hasattr(self, "run"):
            return
        for _ in range(4):
            self.office.second += 30
            self.the_server_looks()
            self.the_process_goes_on()
            self.the_process_goes_on()
            if self.state.name == "Resuming" and self.holder is None:
                self.somebody_enters_the_run()
        assert self.state.is_final(), self.state
        self.it_is_resumed_and_goes_on_once_at_most()


TestNoRunWaitsForEverOrIsResumedTwice = Waits.TestCase
TestNoRunWaitsForEverOrIsResumedTwice.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_who_decides_is_who_signed_in_and_nobody_by_saying_so(office: Office, tmp_path: Path) -> None:
    run = office.run()
    office.pause(run, approval=True, approvers=("ann", "role:admin"), schema=None)
    desk = Desk(office.store, Vault(tmp_path / "key", None), office.now, office.lives, "ann@laptop via CLI")
    approve = ResumeRun(id=run.id)
    for asker in (
        Asker(who="user bob", role=OPERATOR, user="bob"),
        Asker(who="ann", role=OPERATOR, user="bob"),
        Asker(who="anonymous", role=OPERATOR, anonymous=True),
    ):
        with pytest.raises(NotAllowed):
            desk.asked_by(asker).answer(APPROVE_FLOW_RUN, approve)
        with pytest.raises(NotAllowed):  # nor by another door
            desk.asked_by(asker).answer(RESUME_FLOW_RUN, approve)
    with pytest.raises(NotAllowed):
        desk.asked_by(Asker(who="user eve", role=VIEWER, user="ann")).answer(APPROVE_FLOW_RUN, approve)
    desk.asked_by(Asker(who="user ann", role=OPERATOR, user="ann")).answer(APPROVE_FLOW_RUN, approve)
    assert office.read(run).state.name == "Resuming"
    other = office.run()
    office.pause(other, approval=True, approvers=("ann",))
    desk.answer(APPROVE_FLOW_RUN, ResumeRun(id=other.id))  # without a server, people are who their system says
    assert office.read(other).state.name == "Resuming"
