"""Asynchronous flows and tasks: the same decorators, awaited. The flow runs in your own event loop.

You will see three waits of 0.5 s take about 0.5 s together, and a coroutine stopped by its timeout.
"""

import asyncio
import time

from penstock import flow, task


@task
async def wait_for(seconds):
    await asyncio.sleep(seconds)
    return seconds


@flow(log_prints=True)
async def concurrent():
    started = time.monotonic()
    waited = await asyncio.gather(wait_for(0.5), wait_for(0.5), wait_for(0.5))
    print(f"waited {sum(waited):.1f} s together: {time.monotonic() - started < 1.2}")
    state = await wait_for.with_options(timeout_seconds=0.2)(30, return_state=True)
    print(f"the fourth is {state.name}")


if __name__ == "__main__":
    asyncio.run(concurrent())
