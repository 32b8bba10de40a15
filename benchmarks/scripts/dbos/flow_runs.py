"""Workflows without steps, called one after the other."""

import os

from dbos import DBOS


@DBOS.workflow()
def run(x: int) -> int:
    return x


def main(n: int) -> int:
    total = 0
    for i in range(n):
        total += run(i)
    return total


DBOS(config={"name": "benchmark", "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"]})
DBOS.launch()
end = DBOS.destroy
