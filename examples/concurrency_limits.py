"""At most two at once, and not more often than so: limits that all processes share.

You will see tasks wait for a slot by their tag, and that never more than two of them were inside.
"""

import threading
import time

from penstock import flow, task
from penstock.client import get_client
from penstock.concurrency import concurrency, rate_limit

inside = threading.Semaphore(2)  # what the limit protects: a third one would be refused


@task(tags=["database"])
def query(number):
    if not inside.acquire(blocking=False):
        raise RuntimeError("three at once")
    time.sleep(0.05)
    inside.release()
    return number


@task
def call_api(page):
    rate_limit("api")
    with concurrency("licence", timeout_seconds=10):
        return page


@flow(log_prints=True)
def limited():
    print("queries:", sorted(query.map(range(5)).result()))
    began = time.monotonic()
    call_api.map(range(4)).result()
    print("four calls took their time:", time.monotonic() - began >= 0.3)


if __name__ == "__main__":
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name("tag:database", 2)
        client.upsert_global_concurrency_limit_by_name("licence", 1)
        client.upsert_global_concurrency_limit_by_name("api", 1, slot_decay_per_second=10)
    limited()
