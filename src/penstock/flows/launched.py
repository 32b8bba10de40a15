"""`python -m penstock.flows.launched RUN_ID`: executes a flow run that was recorded by a deployment, in a process that
somebody launched for it; exits with 0 if it completed or waits to be resumed, else with 1.

Law: the run is taken before anything of the user's is done, so whatever goes wrong from then on is on the run: with a
state that is true, and a sentence in its log.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any
from uuid import UUID

from .. import connect
from ..domain.errors import DeploymentError, ParameterBindError, PenstockError
from ..domain.launches import Launch
from ..domain.logs import LogLine
from ..domain.reopening import Reopened
from ..domain.rules import Facts
from ..domain.states import State, make
from ..engine import attempts
from ..engine.launched import Launched
from ..engine.parameters import spread
from ..engine.replay import Replay
from ..engine.runtime import Runtime
from ..ledger.contract import Enter, Take
from ..protocol.launches import READ_LAUNCH, LaunchOf
from . import calls, programs, steps

ERROR = 40


def main(arguments: list[str]) -> int:
    """The exit code."""
    try:
        state = execute(UUID(arguments[0]))
    except PenstockError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0 if state.is_completed() or state.is_paused() else 1


def execute(run_id: UUID, flow: Any = None) -> State[Any]:
    """The state in which the run ended; `flow` where it is at hand, else it is loaded.

    Raises `ObjectNotFound`, or `TransitionRefused` where it is not to be started; then nothing changed.
    """
    launch = connect.call(READ_LAUNCH, LaunchOf(run_id))
    runtime = connect.runtime()
    runtime.ledger.attend()  # before the run is this process's: whoever looks finds it alive
    try:
        taken: Reopened = runtime.ledger.ask(Take(run_id, runtime.clock.now(), runtime.holder))
        try:
            flow = flow or _flow(launch, taken.run.flow_name)
            args, kwargs = _arguments(flow, launch.parameters)
        except (Exception, SystemExit) as error:
            return _fail(runtime, taken, error)
        replay = Replay(taken) if taken.run.run_count else Launched(taken)
        state: State[Any] = calls.reenter_flow(flow, args, kwargs, replay)
        return state
    finally:
        runtime.ledger.leave()


def _flow(launch: Launch, name: str) -> Any:
    folder = steps.run(launch.pull_steps)
    if folder is None and launch.path is not None:
        folder = launch.path
    if folder is not None:
        try:
            os.chdir(folder)
        except OSError as error:
            raise DeploymentError(f"The deployment's folder {folder} cannot be entered: {error.strerror}.") from None
    if launch.entrypoint is None:
        raise DeploymentError("The deployment does not say where its flow is; deploy it with an entrypoint.")
    entry = programs.entrypoint_of(launch.entrypoint)
    return programs.find(programs.load(entry), entry.function or "", name)


def _arguments(flow: Any, given: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    import inspect

    signature = inspect.signature(flow.fn).parameters
    takes_more = any(each.kind is each.VAR_KEYWORD for each in signature.values())
    unknown = [] if takes_more else [name for name in given if name not in signature]
    if unknown:
        raise ParameterBindError(
            f"Flow {flow.name!r} has no parameter {unknown[0]!r}; it has: {', '.join(signature) or 'none'}."
        )
    missing = [
        name
        for name, each in signature.items()
        if name not in given and each.default is each.empty and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    ]
    if missing:
        raise ParameterBindError(f"Flow {flow.name!r} needs a parameter {missing[0]!r}, which was not given.")
    defaults = {name: each.default for name, each in signature.items() if each.default is not each.empty}
    return spread(flow.fn, defaults | given)


def _fail(runtime: Runtime, taken: Reopened, error: BaseException) -> State[Any]:
    """The run ends before its code began."""
    run, now = taken.run, runtime.clock.now()
    if isinstance(error, PenstockError):  # which says all that there is to say
        what, text = str(error), ""
    else:
        what = attempts.describe(error)
        text = "\n" + "".join(traceback.format_exception(attempts.without_ours(error))).rstrip()
    message = f"Flow could not be retrieved from deployment. {what}"
    print(f"{message}{text}", file=sys.stderr)
    failed = make("Failed", now, message=message)
    for place, said in enumerate((f"{message}{text}", f"Finished in state {failed}")):
        runtime.ledger.write(
            LogLine(
                flow_run_id=run.id, task_run_id=None, seq=taken.first_seq + place, timestamp=now, level=ERROR,
                message=said, logger="penstock.flow_runs",
            )
        )  # fmt: skip
    answer = runtime.ledger.ask(Enter(run.id, failed, Facts(epoch_of_writer=run.epoch, retry_wanted=False)))
    state: State[Any] = answer.state
    return state


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
