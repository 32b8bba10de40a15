"""What people decide about a flow run, other than to cancel it: a final state for one that nobody executes, and its
name, tags, labels and pin.

Law: a final state says that the run's code is not running. So nobody, whoever asks, can close a run whose process
lives, or might: such a run is cancelled, and closed when its code has stopped.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ..domain.errors import InvalidName, ObjectNotFound, TransitionRefused
from ..domain.rules import Facts, Refuse, Replace, Transition, Wait
from ..domain.runs import FlowRun
from ..domain.states import CANCELLED, FINAL, NAMES, RUNNING, State, StateType, make
from ..domain.stops import GONE, IDLE
from ..domain.transition import decide
from ..domain.variables import checked_tags
from ..store import flow_runs, holders
from ..store.contract import Store, Tx
from . import rescue
from .rescue import Lives


def close(
    store: Store,
    run_id: UUID,
    type: StateType,
    *,
    name: str | None,
    message: str | None,
    who: str,
    now: datetime,
    lives: Lives,
) -> FlowRun:
    """Ends a run that nobody executes in a final state that a person says; the run as it is then.

    Raises `ObjectNotFound`, and `TransitionRefused` for any other state, and where the run's process may still live.
    """
    if type not in FINAL:
        raise TransitionRefused(
            f"Nobody but the run itself can say that it is {type.value}. A person can cancel a run, or close one that "
            "nobody executes."
        )
    with store.write() as tx:
        run = _get(tx, run_id)
        seen = lives(run.holder) is False if run.holder is not None else run.state.type is not RUNNING
        state = _state(run, type, name, message, who, now, seen)
        decision = decide(Transition(run.state, state), Facts(retry_wanted=False))
        if isinstance(decision, Refuse | Wait):
            raise TransitionRefused(decision.why)
        if isinstance(decision, Replace):
            state = decision.state
        _check_still(tx, run, lives, now)
        rescue.close(tx, run, state, f"set by {who}")
        return _get(tx, run_id)


def _state(
    run: FlowRun, type: StateType, name: str | None, message: str | None, who: str, now: datetime, seen: bool
) -> State[Any]:
    if name is not None and NAMES.get(name, type) is not type:
        raise TransitionRefused(f"{name!r} is the name of a state of the type {NAMES[name].value}, not {type.value}.")
    details: dict[str, Any] = {"who": who, "stopped": IDLE if run.holder is None else GONE, "confirmed": seen}
    if type is CANCELLED:
        details = {"reason": "cancel", **details}
    said = f"Set by {who}." if message is None else f"{message} (set by {who})"
    return make(name or type.title(), now, type=type, name=name or type.title(), message=said, details=details)


def _check_still(tx: Tx, run: FlowRun, lives: Lives, now: datetime) -> None:
    """A process that cannot be seen from here is taken for dead when its lease has ended, as by rescue."""
    if run.holder is None:
        return
    alive = lives(run.holder)
    lease = holders.lease_of(tx, run.holder)
    if alive or (alive is None and lease is not None and lease >= now):
        raise TransitionRefused(
            f"The process that executes the run ({run.holder}) lives, as far as is known, so its code may be running. "
            "Cancel the run: it ends when its code has stopped."
        )


def update(
    store: Store,
    run_id: UUID,
    *,
    name: str | None = None,
    tags: tuple[str, ...] | None = None,
    labels: dict[str, str] | None = None,
    keep: bool | None = None,
) -> FlowRun:
    """Changes what is given, tags and labels as a whole; the run as it is then.

    Raises `ObjectNotFound`, `InvalidName`, or `UnstorableValue` for tags that are none.
    """
    if name is not None and (not name.isprintable() or not name.strip()):
        raise InvalidName(f"A run's name is printable text of 1 to 255 characters; not {name!r}.")
    checked = None if tags is None else checked_tags(tags)
    with store.write() as tx:
        run = _get(tx, run_id)
        changed = msgspec.structs.replace(
            run,
            name=run.name if name is None else name,
            tags=run.tags if checked is None else checked,
            labels=run.labels if labels is None else labels,
            keep=run.keep if keep is None else keep,
        )
        if changed != run:
            changed.version += 1
            flow_runs.put(tx, changed)
        return changed


def _get(tx: Tx, run_id: UUID) -> FlowRun:
    run = flow_runs.get(tx, run_id)
    if run is None:
        raise ObjectNotFound(f"Flow run '{run_id}' not found!")
    return run
