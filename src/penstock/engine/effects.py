"""What a script can ask its driver to do. These are all the ways in which a run touches the world and waits for it.

Law: an effect says *what*, never *how*: nothing here blocks or awaits. A script is written once, and both drivers
perform it. `yield from effect` gives the effect's value, or raises what went wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ..ledger.awaited import Awaited

if TYPE_CHECKING:
    from ..ledger.contract import Ledger, Question
    from .clock import Clock
    from .context import RunContext
    from .scopes import Scope

T = TypeVar("T")
Script = Generator["Effect[Any]", Any, T]


class ConsumerLeft(BaseException):
    """Sent into a script at `Emit` when the consumer closes the generator.

    (GeneratorExit itself cannot be: `yield from` answers it by closing the inner script, which could then not say
    how the run ended.)
    """


class Effect(Generic[T]):
    """The base of all effects."""

    __slots__ = ()

    def __iter__(self) -> Generator[Effect[T], Any, T]:
        return (yield self)  # type: ignore[no-any-return]


class Call(Effect[Any]):
    """Run user code, of either colour, in the run's context. With a `scope` it can be stopped; without, it is awaited.

    Raises what the code raises, and `StopDelivered` when the scope was stopped.
    """

    __slots__ = ("fn", "args", "kwargs", "context", "scope", "awaits")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        context: RunContext[Any] | None = None,
        scope: Scope | None = None,
        awaits: bool = False,
    ) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs or {}
        self.context = context
        self.scope = scope
        self.awaits = awaits  # the code gives a coroutine, which is what is meant to run


class Emit(Effect[Any]):
    """Hand a value of a generator to its consumer; the value is what the consumer sends back."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Ask(Effect[Any]):
    """Ask the ledger and wait for its answer."""

    __slots__ = ("ledger", "question")

    def __init__(self, ledger: Ledger, question: Question) -> None:
        self.ledger = ledger
        self.question = question


class Waited(Protocol):
    """What can be waited for: a future, or anything else that happens once."""

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Has `fn` called when it happens; at once if it has."""


class Join(Effect[None]):
    """Wait until all these futures are done, or until the scope is stopped (then `StopDelivered` is raised)."""

    __slots__ = ("futures", "scope")

    def __init__(self, futures: Sequence[Waited], scope: Scope | None) -> None:
        self.futures = futures
        self.scope = scope


def sleep(clock: Clock, seconds: float, scope: Scope | None) -> Script[None]:
    """Waits so many seconds of the clock, or until the scope is stopped (then `StopDelivered` is raised)."""
    woken = Awaited()
    timer = clock.after(seconds, woken.happen)
    try:
        yield from Join([woken], scope)
    finally:
        timer.cancel()
