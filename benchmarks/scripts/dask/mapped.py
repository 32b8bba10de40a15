"""One task mapped over a list."""

import contextlib
from typing import Any

from distributed import Client, LocalCluster

WHILE_IT_LASTS = contextlib.ExitStack()
end = WHILE_IT_LASTS.close
clients: list[Any] = []


def work(x: int) -> int:
    return x


def connected() -> Any:
    """Two places, each a process; they are there after the first call."""
    if not clients:
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        WHILE_IT_LASTS.enter_context(cluster)
        clients.append(WHILE_IT_LASTS.enter_context(Client(cluster)))
    return clients[0]


def main(n: int) -> int:
    client = connected()
    return sum(client.gather(client.map(work, list(range(n)), pure=False)))
