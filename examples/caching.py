"""A cached task's value is taken from an earlier run with the same key, also by another process.

You will see "computing 2" once although the task is called twice with 2: its second run ends as `Cached`. Run the
script again within the hour, and nothing is computed at all. Caching is off unless a task asks for it.
"""

from datetime import timedelta

from penstock import flow, task
from penstock.cache_policies import INPUTS, TASK_SOURCE


@task(cache_policy=INPUTS + TASK_SOURCE, cache_expiration=timedelta(hours=1))
def compute(number):
    print(f"computing {number}")
    return number * 21


@flow(log_prints=True)
def thrifty():
    first = compute(2)
    again = compute(2, return_state=True)
    other = compute(3)
    print(f"{first}, then {again.result()} ({again.name}), then {other}")


if __name__ == "__main__":
    thrifty()
