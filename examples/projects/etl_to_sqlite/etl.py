"""Orders of three branches are extracted, cleaned and loaded into `shop.db`. Run it twice: nothing is loaded twice."""

import csv
import io
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from penstock import flow, get_run_logger, task, unmapped
from penstock.artifacts import create_table_artifact

from branches import Branches


@dataclass(frozen=True)
class Order:
    id: str
    branch: str
    customer: str
    cents: int
    ordered_on: date


@dataclass(frozen=True)
class Cleaned:
    orders: list[Order]
    rejected: list[dict[str, str]]


def line_was_down(task, run, state) -> bool:
    """The line comes back sooner or later; an export that is not there at all is not worth another attempt."""
    return isinstance(state.result(raise_on_failure=False), ConnectionError)


@task(retries=3, retry_delay_seconds=[0.1, 0.2, 0.4], retry_condition_fn=line_was_down)
def extract(branch: str, branches: Branches) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(branches.read(branch))))


def parse(row: dict[str, str], branch: str) -> Order:
    """Raises `ValueError`, which says what is wrong with the row."""
    customer = row["customer"].strip().title()
    if not customer:
        raise ValueError("no customer")
    try:
        amount = Decimal(row["amount"].replace(" ", "").replace(",", "."))
    except InvalidOperation:
        raise ValueError(f"{row['amount']!r} is no amount") from None
    if amount <= 0:
        raise ValueError(f"the amount is {amount}")
    return Order(row["order_id"], branch, customer, int(amount * 100), date.fromisoformat(row["ordered_on"]))


@task
def clean(rows: list[dict[str, str]], branch: str) -> Cleaned:
    orders: dict[str, Order] = {}  # by their ids: a row that comes twice is one order
    rejected = []
    for row in rows:
        try:
            order = parse(row, branch)
        except ValueError as error:
            rejected.append({"branch": branch, "order": row["order_id"], "why": str(error)})
        else:
            orders[order.id] = order
    return Cleaned(list(orders.values()), rejected)


@task
def load(orders: list[Order], database: Path) -> int:
    """All orders or none; gives how many of them are new. An order that is there is brought up to date."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS orders"
            " (id TEXT PRIMARY KEY, branch TEXT, customer TEXT, cents INTEGER, ordered_on TEXT)"
        )
        (before,) = connection.execute("SELECT count(*) FROM orders").fetchone()
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " customer = excluded.customer, cents = excluded.cents, ordered_on = excluded.ordered_on",
            [(each.id, each.branch, each.customer, each.cents, each.ordered_on.isoformat()) for each in orders],
        )
        (after,) = connection.execute("SELECT count(*) FROM orders").fetchone()
    return after - before


@flow(log_prints=True)
def etl(folder: Path = Path("branches"), database: Path = Path("shop.db")) -> int:
    branches = Branches(folder)
    names = branches.names()
    rows = extract.map(names, unmapped(branches))  # beside one another, and each with its own attempts
    cleaned: list[Cleaned] = clean.map(rows, names).result()
    # SQLite has one writer, so one task loads all; and either the whole night is there, or nothing of it.
    orders = [order for each in cleaned for order in each.orders]
    new = load(orders, database)
    rejected = [row for each in cleaned for row in each.rejected]
    if rejected:
        get_run_logger().warning("%d rows are rejected: see `penstock artifact inspect rejected-orders`", len(rejected))
        create_table_artifact(rejected, key="rejected-orders", description="What somebody has to look at.")
    print(f"{len(orders)} orders, {new} of them new")
    return new


if __name__ == "__main__":
    etl()
