"""A site is crawled, politely: at most two requests at once, not more than 40 a second, no page twice within an hour.

Run it a second time: all pages come from the cache, and the site is asked for the missing one only.
"""

from datetime import timedelta
from html.parser import HTMLParser
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import urlopen

from penstock import flow, get_client, task, unmapped
from penstock.artifacts import create_table_artifact
from penstock.cache_policies import INPUTS, TASK_SOURCE
from penstock.concurrency import rate_limit
from penstock.futures import wait

from shop_site import running

RATE = "shop-requests"


class Reader(HTMLParser):
    """Title, price and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.title = self.price = ""
        self.links: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        self._inside = "price" if given.get("class") == "price" else tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "title":
            self.title += data
        elif self._inside == "price":
            self.price += data


def might_get_better(task, run, state) -> bool:
    error = state.result(raise_on_failure=False)
    return not (isinstance(error, HTTPError) and error.code == 404)


# The key has no `site`: it is at another port in each run, and the pages are the same. Of a site with a name, let
# INPUTS be all of them. A task that fails is not cached, so a page that is not there is asked for again.
@task(
    task_run_name="fetch {path}",
    tags=["shop"],
    cache_policy=INPUTS - "site" + TASK_SOURCE,
    cache_expiration=timedelta(hours=1),
    retries=1,
    retry_delay_seconds=0.2,
    retry_condition_fn=might_get_better,
)
def fetch(path: str, site: str) -> str:
    rate_limit(RATE)
    with urlopen(urljoin(site, path), timeout=10) as answer:
        return answer.read().decode()


def read(path: str, html: str) -> tuple[dict[str, object], set[str]]:
    """What goes into the table, and the paths that the page leads to."""
    reader = Reader()
    reader.feed(html)
    row = {"path": path, "title": reader.title, "price": float(reader.price) if reader.price else None}
    return row, {urlsplit(urljoin(path, link)).path for link in reader.links}


@flow(log_prints=True)
def crawl(site: str, most: int = 100) -> int:
    seen, waiting = {"/"}, ["/"]
    rows: list[dict[str, object]] = []
    missing: list[str] = []
    while waiting and len(seen) <= most:
        futures = fetch.map(waiting, unmapped(site))  # all pages that are as far from the first one
        wait(futures)
        found: set[str] = set()
        for path, future in zip(waiting, futures, strict=True):
            if not future.state.is_completed():  # its log has the reason
                missing.append(path)
                continue
            row, links = read(path, future.result())
            rows.append(row)
            found |= links
        waiting = sorted(found - seen)
        seen |= found
    create_table_artifact(rows, key="shop-pages", description=f"{len(rows)} pages of {site}")
    print(f"{len(rows)} pages, not there: {', '.join(missing) or 'none'}")
    return len(rows)


def set_limits() -> None:
    """Once, and not in a program: `penstock concurrency-limit create …`, see the README."""
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name("tag:shop", 2)
        client.upsert_global_concurrency_limit_by_name(RATE, 1, slot_decay_per_second=40)


if __name__ == "__main__":
    set_limits()
    with running() as site:
        crawl(site.url)
        print(f"requests to the site: {site.requests}, of which it refused: {site.refused}")
