"""A report of yesterday's orders, at six every morning, as a Markdown artifact. When it fails, the team is told.

`python report.py` serves it until Ctrl-C; `python report.py 2026-07-01` makes the report of that day, here and now.
"""

import csv
import mailbox
import sys
from collections import Counter
from datetime import date, timedelta
from email.message import EmailMessage
from pathlib import Path

from penstock import flow, task
from penstock.artifacts import create_markdown_artifact
from penstock.blocks.notifications import NotificationBlock
from penstock.exceptions import NotificationFailed
from penstock.runtime import flow_run
from penstock.schedules import Cron

# A served run begins in the folder that the program was started in, so these are the same for all.
ORDERS, MAILS = Path("orders"), Path("team.mbox")
MADE = {
    "2026-07-01": "product,pieces,price\ntea,3,4.20\ncups,1,12.00\ntea,1,6.80\n",
    "2026-07-02": "product,pieces,price\ncoffee,2,9.90\ntea,5,4.20\n",
}


class Mailbox(NotificationBlock):
    """Puts messages into a file of mails, which every mail program reads. In earnest you load a block of the team's:
    `SlackWebhook.load("team")`, `Email.load("team")`."""

    path: Path

    def deliver(self, body: str, subject: str | None) -> None:
        message = EmailMessage()
        message["Subject"] = subject or "Penstock"
        message.set_content(body)
        try:
            box = mailbox.mbox(self.path)
            box.lock()
            try:
                box.add(message)
            finally:
                box.close()  # which writes, and unlocks
        except (OSError, mailbox.Error) as error:
            raise NotificationFailed(f"{self.path} cannot be written: {error}.") from None


def tell_the_team(flow, run, state) -> None:
    """Called when the record has the failure; what it raises would be reported, and would change nothing."""
    Mailbox(path=MAILS).notify(
        f"{state.message}\n\npenstock flow-run logs {run.id}",
        subject=f"{flow.name}: {run.name} is {state.name}",
    )


# The export may be late: in earnest, wait longer.
@task(retries=2, retry_delay_seconds=0.2)
def read_orders(day: date) -> list[dict[str, str]]:
    with (ORDERS / f"{day}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@task
def as_markdown(day: date, orders: list[dict[str, str]]) -> str:
    pieces: Counter[str] = Counter()
    sold: Counter[str] = Counter()
    for order in orders:
        pieces[order["product"]] += int(order["pieces"])
        sold[order["product"]] += round(int(order["pieces"]) * float(order["price"]) * 100)
    lines = [f"# Orders of {day:%A, %d %B %Y}", "", "| product | pieces | sold |", "|---|---:|---:|"]
    lines += [f"| {product} | {pieces[product]} | {cents / 100:.2f} € |" for product, cents in sold.most_common()]
    return "\n".join([*lines, "", f"**{sum(sold.values()) / 100:.2f} €** in all, {len(orders)} orders."])


@flow(on_failure=[tell_the_team], on_crashed=[tell_the_team], log_prints=True)
def nightly_report(day: date | None = None) -> None:
    """The report of a day; of the day before the one that the run was due on, if none is named."""
    day = day or flow_run.scheduled_start_time.date() - timedelta(days=1)
    orders = read_orders(day)
    create_markdown_artifact(as_markdown(day, orders), key="nightly-report", description=f"Orders of {day}")
    print(f"{len(orders)} orders of {day}: see `penstock artifact inspect nightly-report`")


if __name__ == "__main__":
    ORDERS.mkdir(exist_ok=True)
    for made, text in MADE.items():
        (ORDERS / f"{made}.csv").write_text(text, encoding="utf-8")
    if len(sys.argv) > 1:
        nightly_report(date.fromisoformat(sys.argv[1]))
    else:
        nightly_report.serve("nightly", schedules=[Cron("0 6 * * *", timezone="Europe/Berlin", overlap="skip")])
