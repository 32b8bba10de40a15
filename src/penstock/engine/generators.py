"""Generators of the user's, in flows and tasks: what they yield is handed on as it comes, or collected."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from .effects import Call, ConsumerLeft, Effect, Emit
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
    while True:
        try:
            item = yield Call(step, (sent,), None, context, context.scope, asynchronous)
        except (StopIteration, StopAsyncIteration):
            return collected
        step = generator.asend if asynchronous else generator.send
        if call.generator is None:
            collected.append(item)
            continue
        call.generator = EMITTED
        scope = context.scope
        scope.suspended = True
        try:
            sent = yield Emit(item)
        except ConsumerLeft:
            # The consumer has what it wanted. That is a good end, once the generator's own `finally` has run.
            yield Call(generator.aclose if asynchronous else generator.close, (), None, context, None, asynchronous)
            if scope.stop is not None:  # it left because it was stopped, and so was this run
                raise StopDelivered from None
            return collected
        except BaseException as error:
            step, sent = (generator.athrow if asynchronous else generator.throw), error
        finally:
            scope.suspended = False
