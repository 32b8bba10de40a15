"""Days that are not there are filled in, while `sales.py` serves: `python fill.py 2025-03-01 2025-03-07`, both too.

It asks for a backfill of each gap, as `penstock deployment backfill create` does, and waits for the end of all.
"""

import sys
import time
from datetime import UTC, date, datetime, timedelta

from penstock import get_client

from sales import WAREHOUSE

DAY = timedelta(days=1)


def gaps(first: date, last: date) -> list[tuple[date, date]]:
    """Stretches of days without a file, each with its first and last day."""
    days = [first + number * DAY for number in range((last - first).days + 1)]
    missing = [day for day in days if not (WAREHOUSE / f"{day}.json").exists()]
    starts = [day for day in missing if day - DAY not in missing]
    ends = [day for day in missing if day + DAY not in missing]
    return list(zip(starts, ends, strict=True))


def night_after(day: date) -> datetime:
    """When the night begins in which the run of a day is due."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + DAY


def fill(first: date, last: date) -> bool:
    """Whether all days are there."""
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("daily-sales/daily")
        made = []
        for start, end in gaps(first, last):
            # A backfill is of the times from its start on and before its end.
            times = night_after(start), night_after(end + DAY)
            made.append(client.create_backfill(deployment.id, *times, slug="nightly", parallelism=2))
            print(f"{start} to {end}: {made[-1].total} runs")
        while any(client.read_backfill(backfill.id).ended is None for backfill in made):
            time.sleep(0.2)
    return not gaps(first, last)


if __name__ == "__main__":
    first, last = map(date.fromisoformat, sys.argv[1:])
    complete = fill(first, last)
    print("all days are there" if complete else "some days are not there: see `penstock flow-run ls --state Failed`")
    sys.exit(0 if complete else 1)
