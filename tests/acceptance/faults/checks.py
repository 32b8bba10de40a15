"""What must be so after a fault run: the record is closed, true and in itself consistent, and no process is left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from penstock.domain.runs import FlowRun, TaskRun
from penstock.domain.states import FINAL
from penstock.domain.stops import ABANDONED
from penstock.engine import identity
from penstock.store import flow_runs, holders, signals, task_runs
from penstock.store.sqlite import SqliteStore

from .drive import GRACE, KILLED, LONG, Case, Faults

Run = FlowRun | TaskRun
# Between the moment that the test notes and the one at which the fault arrives, a busy machine does other things.
MARGIN = 0.3
STILL = 0.2


class Checks:
    """Problems, as sentences; none is what is wanted."""

    def __init__(self, record: Path, every: list[Case], beats: Path) -> None:
        self._cases = {case.name: case for case in every}
        self._beats = beats
        store = SqliteStore(record)
        try:
            with store.read() as tx:
                self.flows = {run.id: run for run in flow_runs.select(tx, "1 = 1", [], "id", 10**6)}
                self.tasks = {run.id: run for run in task_runs.select(tx, "1 = 1", [], "id", 10**6)}
                self._signals = signals.all(tx)
                self._leased = {run.holder: _lease(tx, run) for run in self._all() if run.holder}
        finally:
            store.close()

    def _all(self) -> list[Run]:
        return [*self.flows.values(), *self.tasks.values()]

    def case_of(self, run: Run) -> Case | None:
        root = self._root(run)
        name = root.flow_name if isinstance(root, FlowRun) else root.task_name
        return self._cases.get(name.partition("/")[0])

    def _root(self, run: Run) -> Run:
        while run.flow_run_id is not None:
            run = self.flows[run.flow_run_id]
        return run

    def problems(self) -> Iterator[str]:
        for run in self._all():
            case = self.case_of(run)
            for problem in self._of_run(run, case):
                yield f"{case}: {_title(run)}: {problem}"
        for case in self._cases.values():
            roots = [run for run in self._all() if run.flow_run_id is None and self.case_of(run) is case]
            for problem in [*case.problems, *self._of_case(case, roots)]:
                yield f"{case}: {problem}"
        for signal in self._signals:
            yield f"a request to stop is open: {signal}"

    # --- any run -----------------------------------------------------------------------------------------------------

    def _of_run(self, run: Run, case: Case | None) -> Iterator[str]:
        if run.state.type not in FINAL:
            yield f"it is not final, but {run.state}"
            if run.holder is not None and identity.lives(run.holder) is False and self._leased.get(run.holder):
                yield "its process is dead, and has its lease"
            return
        if any(state.type in FINAL for state in run.states[:-1]):
            yield f"it ended more than once: {[state.name for state in run.states]}"
        moments = [state.timestamp for state in run.states]
        if moments != sorted(moments):
            yield f"its states are not in the order of their times: {moments}"
        if run.result is not None and not run.state.is_completed():
            yield f"it is {run.state_name} and has a value"
        yield from self._of_child(run)
        yield from self._of_proof(run, case)

    def _of_child(self, run: Run) -> Iterator[str]:
        above: list[Run | None] = [self.flows.get(run.flow_run_id)] if run.flow_run_id else []
        if run.parent_task_run_id:
            above.append(self.tasks.get(run.parent_task_run_id))
        for parent in above:
            if parent is None:
                yield "the run that called it is not recorded"
            elif parent.end_time and _end(run) > parent.end_time:
                late = (_end(run) - parent.end_time).total_seconds()
                yield f"it ended {late:.6f} s after {_title(parent)}, as {run.state_name}"

    def _of_proof(self, run: Run, case: Case | None) -> Iterator[str]:
        details = run.state.details or {}
        if details.get("confirmed") is False and not self._may_stay_unconfirmed(run, case):
            yield f"its process is gone, and it stays unconfirmed: {_without_stack(details)}"
        beats = self._beats / str(run.id)
        if not beats.exists() or details.get("confirmed") is False:
            return
        last = beats.stat().st_mtime
        still_at = self._still_at(run, details)
        if last > still_at + STILL:
            yield f"its code was at work {last - still_at:.3f} s after its end: {_without_stack(details)}"

    @staticmethod
    def _still_at(run: Run, details: dict[str, Any]) -> float:
        """From when on the code was still, as the record says."""
        asked = next((state.timestamp for state in run.states if state.is_cancelling()), _end(run))
        return max(_end(run).timestamp(), asked.timestamp() + float(details.get("seconds_to_stop", 0.0)))

    @staticmethod
    def _may_stay_unconfirmed(run: Run, case: Case | None) -> bool:
        """Where program and watchdog were killed at once, or the program after it had gone on without code, nobody is
        left who knows when that code ended: the run had its end before."""
        return case is not None and case.fault == "kill-both" and (run.state.details or {}).get("stopped") == ABANDONED

    # --- what happened -----------------------------------------------------------------------------------------------

    def _of_case(self, case: Case, roots: list[Run]) -> Iterator[str]:
        if len(roots) > 1:
            yield f"it has {len(roots)} runs without a parent"
        if not roots:
            if case.fault in ("nothing", "freeze-continue", "timeout-flow", "timeout-task"):
                yield "it has no run"
            return
        root = roots[0]
        if root.state.type not in FINAL:
            return
        ended = _end(root).timestamp()
        completed = root.state.is_completed() and (case.length < LONG or case.fault == "timeout-task")
        natural = completed and (not case.at or not case.was_alive or ended <= case.at + MARGIN or case.refused)
        if root.state.is_completed():
            open_ = [run for run in self._below(root) if not run.state.is_completed()]
            # (What was under way ended with a retried flow's first attempt; the second may have had nothing to do.)
            repeated = case.kind == "retried" and case.fault == "timeout-flow"
            if open_ and not repeated and case.fault not in ("cancel-task", "cancel-subflow", "timeout-task"):
                yield f"it is Completed, and of its runs are not: {[f'{_title(run)} {run.state}' for run in open_]}"
        if natural:
            return
        wanted = self._wanted(case, root)
        if f"{root.state_name}" not in wanted:
            yield f"it ended as {root.state}, {ended - case.at:.2f} s after the fault; it should be {wanted}"
        else:
            yield from self._said(case, root)

    def _wanted(self, case: Case, root: Run) -> tuple[str, ...]:
        fault, lone = case.fault, case.kind == "lone"
        if fault in ("nothing", "freeze-continue"):
            return ("Completed",)
        if fault in ("exit", "kill", "kill-both", "term") or (case.followed_up and fault.startswith("int")):
            return ("Crashed",)
        if fault in ("timeout-flow", "freeze-timeout") or (lone and fault == "timeout-task"):
            return ("TimedOut",)
        if fault == "timeout-task":  # an exception in the flow; some of the flows have no tasks, or swallow it
            below = [run.state.details or {} for run in self._below(root)]
            killed = any(details.get("stopped") == "killed" for details in below)
            return ("Failed", "Completed", "Crashed") if killed else ("Failed", "Completed")
        if fault in ("cancel-task", "cancel-subflow") and root.id != case.target:
            return ("Failed", "Completed", "Cancelled")
        return ("Cancelled",)

    def _said(self, case: Case, root: Run) -> Iterator[str]:
        message, details = root.state.message or "", root.state.details or {}
        if case.fault == "term" and not case.followed_up and not message.startswith("Terminated by SIGTERM"):
            yield f"it does not say that it was SIGTERM: {root.state}"
        # (The second Ctrl-C may tear down asyncio itself, and then the run is what that makes of it. One that comes
        # before the run has its handlers is asyncio's, which cancels the task that the run then begins in.)
        said = ("Interrupted by Ctrl-C", "The asyncio task that the run was in was cancelled")
        if case.fault == "int" and not case.followed_up and not message.startswith(said):
            yield f"it does not say that it was Ctrl-C: {root.state}"
        if case.fault in KILLED and case.fault != "cancel-kill" and details.get("stopped") != "gone":
            yield f"it does not say that its process was gone: {_without_stack(details)}"
        if case.fault in ("freeze-cancel", "freeze-timeout") and _end(root).timestamp() > case.frozen_at:
            if details.get("stopped") != "killed" or not details.get("confirmed"):
                yield f"a frozen program's run does not say that it was killed: {_without_stack(details)}"
            if case.followed_up:
                yield "the frozen program was not ended"
        if case.fault in ("cancel", "freeze-cancel", "kill-watchdog") and _end(root).timestamp() - case.at > GRACE + 3:
            yield f"it ended {_end(root).timestamp() - case.at:.2f} s after it was cancelled"
        target = self.flows.get(case.target) or self.tasks.get(case.target) if case.target is not None else None
        if case.fault in ("cancel-task", "cancel-subflow") and target is not None and not case.refused:
            before = _end(target).timestamp() <= case.at + MARGIN
            if not target.state.is_cancelled() and not (target.state.is_completed() and before):
                yield f"what was cancelled is {_title(target)} {target.state}"
        if case.fault == "timeout-task" and root.state_name == "Failed":
            below = self._below(root)
            if not any(run.state_name == "TimedOut" for run in below):
                yield f"no task timed out: {[f'{_title(run)} {run.state_name}' for run in below]}"

    def _below(self, root: Run) -> list[Run]:
        return [run for run in self._all() if run is not root and self._root(run) is root]


def leftovers(faults: Faults, every: list[Case]) -> tuple[list[str], list[str]]:
    """Processes that are left: those that must not be, and those that nobody can be blamed for: what a program had
    started for itself before it was killed from outside, which is the system's to keep."""
    named = {case.name: case for case in every}
    bad, orphans = [], []
    for pid, (whose, line) in faults.processes().items():
        case = named.get(whose)
        is_own = case is not None and case.fault in KILLED and line.startswith(("sleep", "sh "))
        (orphans if is_own else bad).append(f"{case or whose}: process {pid} is left: {line}")
    return bad, orphans


def _lease(tx: Any, run: Run) -> bool:
    return run.holder is not None and holders.lease_of(tx, run.holder) is not None


def _end(run: Run) -> datetime:
    assert run.end_time is not None
    return run.end_time


def _title(run: Run) -> str:
    return f"{run.flow_name if isinstance(run, FlowRun) else run.name} {str(run.id)[-6:]}"


def _without_stack(details: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in details.items() if name != "stack"}
