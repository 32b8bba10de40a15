"""What a trace of runs is to the engine: somebody who is told of a run's states when the record is, and who says what
is around the user's code.

Law: with no tracer the engine does no more than see that there is none. A tracer never raises, and never waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..domain.states import State
    from .context import RunContext


class Wait(Protocol):
    """Something that a run's code waits for."""

    def end(self) -> None:
        """It is over, or is not waited for any more."""


class Trace(Protocol):
    """One run's part of a trace, in the process that executes it."""

    def attach(self) -> Any:
        """Makes it the current one, for code that is called now; what `detach` wants."""

    def detach(self, token: Any) -> None:
        """The code is done."""

    def entered(self, state: State[Any], error: BaseException | None = None) -> None:
        """The run has entered a state; `error` is what its code raised, if it did."""

    def waits(self, what: str, of: str) -> Wait:
        """The run's code begins to wait: `what` is the kind ("slot"), `of` the names of what it waits for."""

    def close(self) -> None:
        """This process is done with the run."""

    def carrier(self) -> dict[str, str]:
        """Its W3C trace context, for code that is called in another process."""


class Tracer(Protocol):
    """Makes traces of runs."""

    def begin(self, context: RunContext[Any]) -> Trace | None:
        """A run begins, or is entered again. It is a part of what is current, else of the trace in its labels; these
        name its trace from then on."""

    def elsewhere(self, carrier: dict[str, str]) -> Trace:
        """The trace of a run that another process executes, and whose function is called here."""


def begin(context: RunContext[Any]) -> None:
    """Has a run traced, where there is a tracer."""
    tracer = context.runtime.tracer
    if tracer is not None:
        context.trace = tracer.begin(context)
