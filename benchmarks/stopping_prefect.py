"""A Prefect server for one session of `stopping.py`: a server for each cell would take longer than the cells do."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from .measure import Bench, Product, end_group
from .stopping_watch import Stopper

LONGEST_START_SECONDS = 120.0


@contextmanager
def serving(bench: Bench, product: Product) -> Iterator[Stopper]:
    """Measures the cells of Prefect as long as its server runs."""
    home = bench.folder / "prefect-home"
    home.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [product.python, "-m", "prefect", "server", "start", "--port", str(port)],
        cwd=home, env=bench.environment(home, product), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}/api"
        _wait_until_ready(f"{url}/health")
        yield Stopper(bench, product, home, url)
    finally:
        end_group(server.pid)
        server.wait()


def _wait_until_ready(url: str) -> None:
    give_up = time.monotonic() + LONGEST_START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)
