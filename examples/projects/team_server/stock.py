"""What has to be ordered: a flow of a team, with a secret and a variable that its server keeps."""

import csv
from pathlib import Path

from penstock import flow, task
from penstock.artifacts import create_table_artifact
from penstock.blocks.system import Secret
from penstock.variables import Variable

STOCK = Path(__file__).with_name("stock.csv")


@task
def read_stock(path: Path) -> dict[str, int]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["product"]: int(row["pieces"]) for row in csv.DictReader(file)}


@task
def sign_in() -> str:
    """Stands for the sign-in at a supplier's; prints the token, which the log does not have."""
    token = Secret.load("supplier-token").get()
    print(f"signing in with {token}")
    return "signed in"


@task
def missing(stock: dict[str, int], least: int) -> list[dict[str, str | int]]:
    return [{"product": product, "pieces": least - pieces} for product, pieces in stock.items() if pieces < least]


@flow(log_prints=True)
def reorder(least: int | None = None) -> int:
    """Orders what there is less of than `least`, or than the team's variable `least_pieces`."""
    if least is None:
        least = int(Variable.get("least_pieces", default=10))
    orders = missing(read_stock(STOCK), least)
    if orders:
        print(f"{sign_in()}: {len(orders)} products are to be ordered")
    create_table_artifact(orders, key="orders", description=f"less than {least} pieces")
    return len(orders)


if __name__ == "__main__":
    reorder()
