"""Generators of the user's, in flows and tasks: what they yield is handed on as it comes, or collected.

Between two items the consumer has the floor: the generator is suspended, and no code of its run is at work. A stop is
seen when the consumer comes back, or leaves; then the generator's `finally` is run, and the run ends.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from . import attempts
from .context import FlowRunContext
from .effects import Call, ConsumerLeft, Effect, Emit
from .runlog import say
from .scopes import Scope
from .stopping import StopDelivered

# what `generator` of a call becomes when its consumer has the first item: from then on there is no trying again
EMITTED = "emitted"


def generate(call: Any, generator: Any) -> Generator[Effect[Any], Any, list[Any]]:
    """Runs a generator of the user's: what it yields is handed on, or collected where nobody takes it as it comes."""
    context = call.context
    collected: list[Any] = []
    asynchronous = hasattr(generator, "asend")
    step: Any = generator.asend if asynchronous else generator.send
    sent: Any = None
    scope = context.scope
    while True:
        try:
            item = yield Call(step, (sent,), None, context, scope, asynchronous)
        except (StopIteration, StopAsyncIteration):
            return collected
        except StopDelivered:
            yield from _close(call, generator, asynchronous)
            raise
        step = generator.asend if asynchronous else generator.send
        if call.generator is None:
            collected.append(item)
            continue
        call.generator = EMITTED
        attempts.suspend(scope)
        try:
            sent = yield Emit(item)
        except ConsumerLeft:
            # The consumer has what it wanted. That is a good end, once the generator's own `finally` has run.
            yield from _close(call, generator, asynchronous)
            if scope.stop is not None:  # it left because it was stopped, and so was this run
                raise StopDelivered from None
            return collected
        except BaseException as error:
            step, sent = (generator.athrow if asynchronous else generator.throw), error
        finally:
            attempts.resume(context, scope)


def _close(call: Any, generator: Any, asynchronous: bool) -> Generator[Effect[Any], Any, None]:
    """Runs what the author wrote for the end; it has the grace for that."""
    if getattr(generator, "ag_running" if asynchronous else "gi_running", False):
        return  # the code would not stop, and the run ends without it
    context = call.context
    scope: Scope = attempts.last_scope(context)
    try:
        yield Call(generator.aclose if asynchronous else generator.close, (), None, context, scope, asynchronous)
    except (StopDelivered, RuntimeError):  # it took too long, or would not be closed
        return
    finally:
        scope.close()


def close_streams(context: FlowRunContext) -> Generator[Effect[Any], Any, None]:
    """Nothing more is taken from the inputs of a flow run's streams; what an author wrote for their end has the grace
    for that."""
    while context.streams:
        stream = context.streams.pop()
        scope = attempts.last_scope(context)
        try:
            yield from Call(stream.close, (), None, context, scope)
        except (Exception, StopDelivered) as error:
            say(context, attempts.ERROR, f"An input of {stream!r} could not be closed: {attempts.describe(error)}")
        finally:
            scope.close()
