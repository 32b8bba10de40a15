"""`python -m penstock.flows.reentry RUN_ID WHO [PATH:FUNCTION]`: enters a flow run again that has ended, in a process
of its own, and exits with 0 if it completed, else with 1.

Law: everything that can go wrong before the flow's code begins goes wrong before the run is reopened: a run whose
program cannot be loaded stays as it is.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from typing import Any
from uuid import UUID

import msgspec

from .. import connect
from ..domain.errors import ParameterBindError, PenstockError, TransitionRefused
from ..domain.reopening import Recalled, called, not_callable
from ..domain.runs import Entrypoint
from ..domain.states import State
from ..engine import attempts, origin
from ..engine.parameters import spread
from ..engine.replay import Replay
from ..engine.serializers import PickleSerializer
from ..ledger.contract import Recall, Reopen
from . import calls, programs


def main(arguments: list[str]) -> int:
    """The exit code."""
    run_id, who, *place = arguments
    try:
        state = reenter(UUID(run_id), who, place[0] if place else None)
    except PenstockError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0 if state.is_completed() else 1


def reenter(run_id: UUID, who: str, place: str | None = None) -> State[Any]:
    """The state in which the run ended then. Raises `ObjectNotFound` or `TransitionRefused`; then nothing changed."""
    runtime = connect.runtime()
    recalled: Recalled = runtime.ledger.ask(Recall(run_id))
    run, entry = recalled.run, recalled.run.entrypoint or Entrypoint()
    why = not_callable(run, recalled.arguments, elsewhere=place is not None)
    if why is not None:
        raise TransitionRefused(f"{called(run)} {why}")
    if place is not None:
        entry = programs.elsewhere(entry, place)
    data = b"" if recalled.arguments is None else origin.opened(recalled.arguments, runtime.vault)
    flow = _flow(entry, run.flow_name, whole=b"__main__" in data, moved=place is not None)
    args, kwargs = _arguments(flow, data)
    now = origin.entrypoint(flow)
    if place is not None:
        now = msgspec.structs.replace(now, path=entry.path)
    question = Reopen(run_id, who, runtime.clock.now(), runtime.holder, now)
    replay = Replay(runtime.ledger.ask(question), _changes(entry, now))
    state: State[Any] = calls.reenter_flow(flow, args, kwargs, replay)
    return state


def _flow(entry: Entrypoint, name: str, whole: bool, moved: bool) -> Any:
    try:
        return programs.find(programs.load(entry, whole=whole, moved=moved), entry.function or "", name)
    except PenstockError:
        raise
    except (Exception, SystemExit) as error:
        print("".join(traceback.format_exception(attempts.without_ours(error))), end="", file=sys.stderr)
        raise TransitionRefused(
            f"The program of flow {name!r} cannot be loaded ({attempts.describe(error)}). Its run stays as it was."
        ) from error


def _arguments(flow: Any, data: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the flow is called with: what it was, and today's defaults."""
    given: dict[str, Any] = {}
    if data:
        try:
            given = PickleSerializer().loads(data)
        except Exception as error:
            raise TransitionRefused(
                f"The arguments of flow {flow.name!r} cannot be read any more ({attempts.describe(error)}); has a "
                "class of theirs moved? The run stays as it was."
            ) from error
    signature = inspect.signature(flow.fn).parameters
    unknown = [name for name in given if name not in signature]
    if unknown:
        raise ParameterBindError(
            f"Flow {flow.name!r} was called with a parameter {unknown[0]!r}, which it has no more. Its run stays as it "
            "was."
        )
    defaults = {name: each.default for name, each in signature.items() if each.default is not each.empty}
    return spread(flow.fn, defaults | given)


def _changes(before: Entrypoint, now: Entrypoint) -> list[str]:
    """What is not as it was at the last attempt."""
    if before.digest is None or now.digest is None or before.digest == now.digest:
        return []
    path = os.path.abspath(now.path or "")
    return [f"The code in {path} has changed since the last attempt. What that one completed is used all the same."]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
