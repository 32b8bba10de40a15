"""Which prices have changed, and by how much. Made to be run in a container; it runs as well without one."""

import csv
import platform
from dataclasses import dataclass
from pathlib import Path

from penstock import flow, get_run_logger, task
from penstock.artifacts import create_table_artifact

PRICES = Path(__file__).with_name("prices.csv")  # in the image, beside the code


@dataclass(frozen=True)
class Change:
    product: str
    before: float
    now: float

    @property
    def share(self) -> float:
        return self.now / self.before - 1


@task
def read(path: Path) -> list[Change]:
    with path.open(newline="", encoding="utf-8") as file:
        return [Change(row["product"], float(row["before"]), float(row["now"])) for row in csv.DictReader(file)]


@task
def large_ones(changes: list[Change], least: float) -> list[Change]:
    found = [change for change in changes if abs(change.share) >= least]
    return sorted(found, key=lambda change: abs(change.share), reverse=True)


@flow(log_prints=True)
def price_changes(least: float = 0.05) -> int:
    """`least` is a share: 0.05 for five per cent."""
    get_run_logger().info("running at %s, with Python %s", platform.node(), platform.python_version())
    found = large_ones(read(PRICES), least)
    for change in found:
        print(f"{change.product}: {change.before:.2f} to {change.now:.2f} ({change.share:+.0%})")
    rows = [{"product": each.product, "before": each.before, "now": each.now} for each in found]
    create_table_artifact(rows, key="price-changes", description=f"by {least:.0%} and more")
    return len(found)


if __name__ == "__main__":
    price_changes()
