"""Asynchronous tasks, awaited together."""

import asyncio
import sys

from penstock import flow, task


@task
async def work(x: int) -> int:
    return x


@flow
async def run(n: int) -> int:
    return sum(await asyncio.gather(*[work(i) for i in range(n)]))


def main(n: int) -> int:
    return asyncio.run(run(n))


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
