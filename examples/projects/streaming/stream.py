"""Readings go through a pipeline of generator tasks, and never more than a batch of them is in memory.

You will see the most memory that the pipeline took, for 50,000 readings and for four times as many: it is the same.
"""

import gzip
import json
import math
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from penstock import flow, task

BATCH, EVERY = 5_000, 10


class Reading(NamedTuple):
    number: int
    celsius: float


# A generator of the program's own is passed through as fast as Python can. What a *task* yields is looked at by the
# engine each time, which costs some microseconds: so tasks hand on batches, and not single readings.
def sensor(count: int) -> Iterator[Reading]:
    for number in range(count):
        yield Reading(number, 20 + 5 * math.sin(number / 1000))


@task
def read(count: int, size: int) -> Iterator[list[Reading]]:
    """A source that can be read once. Its `finally` is run at the end, also if the consumer leaves early."""
    readings, batches = sensor(count), 0
    try:
        while batch := list(islice(readings, size)):
            batches += 1
            yield batch
    finally:
        print(f"the source is closed after {batches} batches")


@task
def thin_out(batches: Iterator[list[Reading]], every: int) -> Iterator[list[Reading]]:
    """A stage in the middle: takes a batch when it is asked for one."""
    for batch in batches:
        yield [reading for reading in batch if reading.number % every == 0]


# What it is given cannot be read twice, so another attempt would write the rest only: no retries.
@task
def write(batches: Iterator[list[Reading]], path: Path) -> int:
    """The end of the pipeline, which pulls all the others."""
    written = 0
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for batch in batches:
            file.writelines(f"{json.dumps(reading._asdict())}\n" for reading in batch)
            written += len(batch)
    return written


@flow(log_prints=True)
def stream(count: int, path: Path = Path("readings.jsonl.gz")) -> float:
    tracemalloc.start()
    written = write(thin_out(read(count, BATCH), EVERY), path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{written} of {count} readings are in {path}; the most memory at once: {most / 1e6:.1f} MB")
    return most / 1e6


@flow(log_prints=True)
def peek(count: int) -> float:
    """A consumer that has what it wants after the first batch. The source is closed, and its run is Completed."""
    for batch in read(count, BATCH):
        return max(reading.celsius for reading in batch)
    raise ValueError("there are no readings")


if __name__ == "__main__":
    stream(50_000)
    stream(200_000)
    peek(200_000)
