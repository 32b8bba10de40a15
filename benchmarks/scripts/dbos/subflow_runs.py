"""A workflow that calls another workflow, one time after the other."""

import os

from dbos import DBOS


@DBOS.workflow()
def part(x: int) -> int:
    return x


@DBOS.workflow()
def run(n: int) -> int:
    total = 0
    for i in range(n):
        total += part(i)
    return total


def main(n: int) -> int:
    return run(n)


DBOS(config={"name": "benchmark", "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"]})
DBOS.launch()
end = DBOS.destroy
