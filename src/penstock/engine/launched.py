"""A flow run that was recorded before its flow was loaded: by a deployment, and launched since."""

from __future__ import annotations

from typing import Any

from ..domain.log_forms import ENGINE
from ..domain.rules import Facts
from ..domain.states import State
from ..ledger.contract import Enter
from .attempts import INFO
from .context import FlowRunContext
from .replay import Replay, traced
from .runlog import say


class Launched(Replay):
    """The run begins for the first time: there is nothing that earlier attempts left."""

    is_first = True

    def entering(self, context: FlowRunContext, first: State[Any]) -> Enter:
        run = context.run
        facts = Facts(epoch_of_writer=run.epoch)
        return Enter(
            run.id, first, facts, run.run_count, None, run.deadline, name=run.name, parameters=run.parameters,
            labels=traced(context),
        )  # fmt: skip

    def say_begun(self, context: FlowRunContext, kind: str) -> None:
        run = context.run
        say(context, INFO, f"Beginning {kind} {run.name!r} for flow {run.flow_name!r}", ENGINE)
