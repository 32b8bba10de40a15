"""Asynchronous steps, awaited together."""

import asyncio
import os

from dbos import DBOS


@DBOS.step()
async def work(x: int) -> int:
    return x


@DBOS.workflow()
async def run(n: int) -> int:
    return sum(await asyncio.gather(*[work(i) for i in range(n)]))


def main(n: int) -> int:
    return asyncio.run(run(n))


DBOS(config={"name": "benchmark", "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"]})
DBOS.launch()
end = DBOS.destroy
