"""The sales of a day, each night. A day that was missed is caught up; days of the past are filled in by a backfill.

`python sales.py` serves the flow until Ctrl-C.
"""

import json
import random
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

from penstock import flow, task
from penstock.runtime import flow_run
from penstock.schedules import Cron

WAREHOUSE = Path("warehouse")


@task(retries=2, retry_delay_seconds=1)
def extract(day: date) -> list[tuple[str, int]]:
    """The sales of a day: made up, but always the same for the same day, as those of a real source are."""
    chance = random.Random(day.toordinal())
    return [(chance.choice(["tea", "coffee", "cups"]), chance.randint(1, 5)) for _ in range(20)]


@task
def total(sales: list[tuple[str, int]]) -> dict[str, int]:
    pieces: Counter[str] = Counter()
    for product, count in sales:
        pieces[product] += count
    return dict(sorted(pieces.items()))


@task
def write(day: date, totals: dict[str, int], warehouse: Path) -> Path:
    """The file of that day and no other, whole or not at all: so a second run of a day does no harm, and two runs at
    once do none either."""
    warehouse.mkdir(parents=True, exist_ok=True)
    path = warehouse / f"{day}.json"
    unfinished = path.with_suffix(f".{flow_run.id}")
    unfinished.write_text(json.dumps(totals), encoding="utf-8")
    unfinished.replace(path)
    return path


@flow(log_prints=True)
def daily_sales(day: date | None = None, warehouse: Path = WAREHOUSE) -> None:
    """Of `day`; if none is named, of the day before the one that the run was due on, whenever it really runs.

    Never `date.today()`: a run that is late, caught up or of a backfill would write another day's file.
    """
    day = day or flow_run.scheduled_start_time.date() - timedelta(days=1)
    totals = total(extract(day))
    print(f"{day}: {write(day, totals, warehouse)} {totals}")


# At two each night. After a stop of the server (or of this program) each night of the last week is caught up, not only
# the last one; and one after the other, not all at once.
NIGHTLY = Cron("0 2 * * *", slug="nightly", catchup="all", catchup_window=7 * 86400, overlap="queue")

if __name__ == "__main__":
    daily_sales.serve("daily", schedules=[NIGHTLY])
