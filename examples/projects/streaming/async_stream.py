"""The same in coroutines: an asynchronous source, a queue with room for ten, and three consumers beside one another.

You will see how many ticks each consumer had, and that never more than ten waited: a source that is quicker than its
consumers is held up, and fills no memory.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from penstock import flow, task

COUNT, ROOM, CONSUMERS = 300, 10, 3
DONE = None  # what tells a consumer that nothing comes any more


class Tick(NamedTuple):
    number: int
    price: float


@task
async def ticks(count: int) -> AsyncIterator[Tick]:
    """Stands for a WebSocket or a message broker. Between two items it is the consumer's turn."""
    try:
        for number in range(count):
            await asyncio.sleep(0)
            yield Tick(number, 100 + number % 7)
    finally:
        print("the source is closed")


@task(task_run_name="consumer-{name}")
async def consume(name: str, queue: asyncio.Queue[Tick | None]) -> float:
    """The sum of the prices that came to this consumer."""
    total, count = 0.0, 0
    while (tick := await queue.get()) is not DONE:
        await asyncio.sleep(0.001)  # what is done with a tick takes longer than to get one
        total, count = total + tick.price, count + 1
    print(f"consumer {name} had {count} ticks")
    return total


@flow(log_prints=True)
async def live(count: int = COUNT) -> float:
    queue: asyncio.Queue[Tick | None] = asyncio.Queue(maxsize=ROOM)
    most = 0
    async with asyncio.TaskGroup() as group:
        consumers = [group.create_task(consume(name, queue)) for name in "abc"[:CONSUMERS]]
        async for tick in ticks(count):
            await queue.put(tick)  # waits while there is no room
            most = max(most, queue.qsize())
        for _ in consumers:
            await queue.put(DONE)
    total = sum(consumer.result() for consumer in consumers)
    print(f"{count} ticks, {total:.0f} in all; never more than {most} waited")
    return total


if __name__ == "__main__":
    asyncio.run(live())
