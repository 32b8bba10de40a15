"""What workers report, and the process that was launched: each report changes a launch and its run in one transaction.

Law: only the worker that has a launch changes it. Whatever the infrastructure is seen to do, the run's record is closed
by the same rules as for a process that is gone (`rescue`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from ..domain.errors import ObjectNotFound, TransitionRefused
from ..domain.launches import Launch
from ..domain.logs import LogLine
from ..domain.pauses import RESUMING
from ..domain.reopening import Reopened, called
from ..domain.rules import Facts
from ..domain.runs import FlowRun, Holder
from ..domain.states import CANCELLING, FINAL, PENDING, SCHEDULED, State, make
from ..domain.stops import CANCEL, GONE, IDLE, KILLED, Stilled
from ..protocol.launches import Event, Reported, ReportLaunch
from ..store import flow_runs, launches, logs
from ..store.contract import Store, Tx
from . import leaving, orchestrate, proof, rescue

# How often one run is tried to be launched, and how long it waits before the next time, at first and at most.
MOST_TRIES = 5
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(minutes=5)


def take(tx: Tx, run_id: UUID, *, holder: Holder, now: datetime) -> Reopened:
    """Gives a launched run to the process that executes it. Raises `ObjectNotFound`, and `TransitionRefused` where the
    run is nobody's to take: it has ended, is being cancelled, or has a process already."""
    run, launch = flow_runs.get(tx, run_id), launches.get(tx, run_id)
    if run is None:
        raise ObjectNotFound(f"Flow run '{run_id}' not found!")
    if launch is None:
        raise TransitionRefused(f"{called(run)} is no run of a deployment: it is executed where its flow is called.")
    if launch.stopping is not None or run.state.type not in (SCHEDULED, PENDING):
        raise TransitionRefused(f"{called(run)} is {run.state_name}: it cannot be started.")
    if run.holder is not None:
        raise TransitionRefused(f"{called(run)} is executed by another process already ({run.holder}).")
    run.holder = holder
    run.epoch += 1
    if run.state.type is SCHEDULED:  # somebody executes it by hand: no worker has anything to launch or to end
        launch.ended = now
        launches.put(tx, launch)
        run.enter(make("Pending", now, message=f"Taken by process {holder}."))
    else:
        run.version += 1
    flow_runs.put(tx, run)
    return Reopened(run, [], [], logs.begin_attempt(tx, run_id))


def report(store: Store, told: ReportLaunch, now: datetime) -> Reported:
    """Notes what a worker tells of a launch. Raises `ObjectNotFound`."""
    with store.write() as tx:
        run, launch = flow_runs.get(tx, told.id), launches.get(tx, told.id)
        if run is None or launch is None:
            raise ObjectNotFound(f"There is no launch of a flow run '{told.id}'!")
        if launch.worker != told.worker or launch.ended is not None:
            return Reported(kept=False, launch=launch, run=run)
        _HANDLERS[told.event](tx, launch, run, told, now)
        launches.put(tx, launch)
        return Reported(kept=True, launch=launch, run=flow_runs.get(tx, told.id) or run)


def _launched(tx: Tx, launch: Launch, run: FlowRun, told: ReportLaunch, now: datetime) -> None:
    launch.place, launch.launched = told.place, launch.launched or now
    launch.configuration = told.configuration if told.configuration is not None else launch.configuration
    launch.problem = None
    run.infrastructure_pid = None if told.place is None else str(told.place)
    run.version += 1
    flow_runs.put(tx, run)


def _not_launched(tx: Tx, launch: Launch, run: FlowRun, told: ReportLaunch, now: datetime) -> None:
    """It is tried again later, perhaps by another worker; not for ever."""
    launch.tries += 1
    launch.problem = told.message
    if launch.stopping is not None or launch.tries >= MOST_TRIES:
        _refused(tx, launch, run, told, now)
        return
    wait = min(FIRST_WAIT * 2 ** (launch.tries - 1), LONGEST_WAIT)
    launch.worker = launch.claimed = launch.launched = None
    launch.scheduled = now + wait
    message = f"It could not be launched (try {launch.tries} of {MOST_TRIES}): {told.message}"
    orchestrate.enter(tx, run.id, make("AwaitingRetry", now, message=message), Facts())


def _refused(tx: Tx, launch: Launch, run: FlowRun, told: ReportLaunch, now: datetime) -> None:
    launch.problem, launch.ended = told.message, now
    if run.state.type not in FINAL:
        message = f"The run could not be launched: {told.message}"
        details = {"stopped": IDLE, "confirmed": True} | _asked(run)
        rescue.close(tx, run, make("Crashed", now, message=message, details=details), "told by its worker")


def _waiting(tx: Tx, launch: Launch, run: FlowRun, told: ReportLaunch, now: datetime) -> None:
    launch.problem = told.message


def _ended(tx: Tx, launch: Launch, run: FlowRun, told: ReportLaunch, now: datetime) -> None:
    launch.ended, launch.exit_code, launch.problem = now, told.exit_code, told.message
    if run.state.type in FINAL:
        if run.state.is_crashed():  # by whoever saw first that its process is gone, and not why
            _append(tx, run, (*told.lines, f"{_what(told)}."), now)
        _confirm(tx, run, GONE, (now - run.state.timestamp).total_seconds())
        return
    if _goes_on(tx, launch, run, now):
        return
    _append(tx, run, told.lines, now)
    state: State[None] = rescue.ending(run, now, seen=True)
    message = f"{_what(told)} before the run did."
    if state.is_crashed():
        state = make("Crashed", now, message=message, details=_details(state, told))
    else:
        state = make(state.name, now, message=f"{state.message} {message}", details=_details(state, told))
    rescue.close(tx, run, state, "told by its worker")


def _stopped(tx: Tx, launch: Launch, run: FlowRun, told: ReportLaunch, now: datetime) -> None:
    how = told.how or GONE
    launch.ended, launch.exit_code, launch.problem = now, told.exit_code, None
    if run.state.type in FINAL:
        _confirm(tx, run, how, told.seconds)
        if how == KILLED:  # whoever saw that the process is gone could not know that it was the worker who ended it
            proof.amend_gone(tx, run, told.seconds)
        return
    if _goes_on(tx, launch, run, now):
        return
    details = {**_asked(run), "stopped": how, "confirmed": True, "seconds_to_stop": round(told.seconds, 4)}
    ending = {"killed": "It was killed", "returned": "It ended", "gone": "It was gone"}.get(how, how.title())
    name = "Cancelled" if run.state.type is CANCELLING else "Crashed"
    message = f"{(run.state.message or name).rstrip('.')}. {ending} after {told.seconds:.1f} s."
    rescue.close(tx, run, make(name, now, message=message, details=details), "told by its worker")


def _goes_on(tx: Tx, launch: Launch, run: FlowRun, now: datetime) -> bool:
    """Whether the run waits for somebody, or has been told to go on: then it is launched once more."""
    if not rescue.keep_waiting(tx, run, now):
        return False
    if run.state.name == RESUMING:
        leaving.make_anew(launch, now)
    return True


def _not_stopped(tx: Tx, launch: Launch, run: FlowRun, told: ReportLaunch, now: datetime) -> None:
    """It stays Cancelling, and says so: nothing pretends."""
    launch.tries += 1
    launch.problem = told.message
    if run.state.type is CANCELLING:
        message = f"Its infrastructure could not be ended yet (try {launch.tries}): {told.message}"
        details = {**(run.state.details or {}), "enforced": False}
        orchestrate.enter(tx, run.id, make("Cancelling", now, message=message, details=details), Facts())


def _released(tx: Tx, launch: Launch, run: FlowRun, told: ReportLaunch, now: datetime) -> None:
    """The worker gives it back: one that runs stays where it is, for a worker that can reach it."""
    launch.worker = None
    launch.problem = told.message
    if launch.place is not None:
        return
    launch.claimed = None
    if launch.stopping is not None:
        launch.ended = now
        details = {**_asked(run), "stopped": IDLE, "confirmed": True}
        rescue.close(tx, run, make("Cancelled", now, message=run.state.message, details=details), "it never ran")
    elif run.state.type is PENDING and run.holder is None:
        message = told.message or "Given back by its worker."
        orchestrate.enter(tx, run.id, make("Scheduled", now, message=message), Facts())


_HANDLERS = {
    Event.LAUNCHED: _launched,
    Event.NOT_LAUNCHED: _not_launched,
    Event.REFUSED: _refused,
    Event.WAITING: _waiting,
    Event.ENDED: _ended,
    Event.STOPPED: _stopped,
    Event.NOT_STOPPED: _not_stopped,
    Event.RELEASED: _released,
}


def _asked(run: FlowRun) -> dict[str, object]:
    return dict(run.state.details or {}) if run.state.type is CANCELLING else {}


def _what(told: ReportLaunch) -> str:
    code = "" if told.exit_code is None else f" with exit code {told.exit_code}"
    why = f" ({told.message.rstrip('.')})" if told.message else ""
    return f"The run's infrastructure ended{code}{why}"


def _details(state: State[None], told: ReportLaunch) -> dict[str, object]:
    more = {} if told.exit_code is None else {"exit_code": told.exit_code}
    return {**(state.details or {}), **more}


def _confirm(tx: Tx, run: FlowRun, how: str, seconds: float) -> None:
    if proof.is_unconfirmed(run):
        proof.confirm(tx, Stilled(run.id, run.run_count, how, max(seconds, 0.0)))


def _append(tx: Tx, run: FlowRun, lines: tuple[str, ...], now: datetime) -> None:
    """The last that a program wrote which did not come to its end; one that did has said all by itself."""
    if not lines:
        return
    first = logs.next_late_seq(tx, run.id, run.epoch)
    found = [
        LogLine(
            flow_run_id=run.id, task_run_id=None, seq=first + place, timestamp=now, level=30, message=line,
            logger="penstock.worker",
        )
        for place, line in enumerate(lines)
    ]  # fmt: skip
    logs.append(tx, found)


def stop(launch: Launch, now: datetime, *, who: str = "", grace: float | None = None) -> bool:
    """Asks the worker of a launch to end it; whether there is somebody to ask: nobody has what waits."""
    if launch.claimed is None or launch.ended is not None:
        return False
    launch.stopping = launch.stopping or now
    launch.stopped_by, launch.stop_grace = who, grace
    launch.tries = 0
    return True


def cancel_waiting(tx: Tx, launch: Launch, *, who: str, now: datetime, message: str) -> None:
    """Ends a run that nobody has claimed."""
    launch.ended = now
    launches.put(tx, launch)
    details = {"reason": CANCEL, "who": who, "stopped": IDLE, "confirmed": True}
    orchestrate.enter(tx, launch.flow_run_id, make("Cancelled", now, message=message, details=details), Facts())
