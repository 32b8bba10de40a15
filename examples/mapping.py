"""`submit` starts a task beside the flow and gives a future; `map` does so for each item.

You will see ten tasks that sleep 0.2 s each take about 0.2 s together, and their futures passed to a task, which waits
for them.
"""

import time

from penstock import flow, task, unmapped
from penstock.futures import as_completed


@task
def power(base, exponent):
    time.sleep(0.2)
    return base**exponent


@task
def total(numbers):
    return sum(numbers)


@flow(log_prints=True)
def mapping():
    started = time.monotonic()
    squares = power.map(range(10), unmapped(2))  # ten runs, each with exponent 2
    print(f"the sum of the squares is {total.submit(squares).result()}")
    print(f"all at once: {time.monotonic() - started < 1.5}")
    cubes = power.map([1, 2, 3], [3, 3, 3])  # iterables of one length go together
    for future in as_completed(cubes):  # in the order in which they end
        print(f"{future.task_run.name} gave {future.result()}")


if __name__ == "__main__":
    mapping()
