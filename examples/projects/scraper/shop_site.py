"""A small shop on this machine, to be crawled: no page of the internet is asked.

It refuses a third request at a time, as sites do that protect themselves, and counts what it is asked.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

AT_ONCE = 2
CATALOGUE = {
    "tea": {"assam": 4.20, "darjeeling": 6.80, "sencha": 5.50},
    "coffee": {"mocha": 9.90, "java": 8.40},
    "cups": {"small-cup": 3.00, "large-cup": 4.50},
}


def page(path: str) -> str | None:
    """The HTML of a page, None if there is no such page."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        links = [f'<a href="/{group}/">{group}</a>' for group in CATALOGUE]
        return f"<title>The shop</title>{''.join(links)}<a href='/sale/'>sale</a>"
    group = CATALOGUE.get(parts[0])
    if group is None:
        return None
    if len(parts) == 1:
        links = [f'<a href="/{parts[0]}/{name}">{name}</a>' for name in group]
        return f"<title>All {parts[0]}</title><a href='/'>back</a>{''.join(links)}"
    if parts[1] not in group:
        return None
    return f'<title>{parts[1]}</title><b class="price">{group[parts[1]]:.2f}</b><a href="/{parts[0]}/">back</a>'


class Site(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.requests = self.refused = 0
        self.counting = threading.Lock()
        self.slots = threading.Semaphore(AT_ONCE)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Page(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        free = self.server.slots.acquire(blocking=False)
        with self.server.counting:
            self.server.requests += 1
            self.server.refused += not free
        if not free:
            self.answer(429, "not so many at once")
            return
        try:
            time.sleep(0.06)  # a page takes its time
            found = page(self.path)
        finally:
            self.server.slots.release()  # before the answer: who has it may ask again at once
        self.answer(200 if found else 404, found or "there is no such page")

    def answer(self, status: int, html: str) -> None:
        body = html.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The log is the flow's."""


@contextmanager
def running() -> Iterator[Site]:
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, args=[0.05])
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()
