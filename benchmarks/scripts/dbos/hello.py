"""The first program of a new user: a workflow and a step."""

import os

from dbos import DBOS


@DBOS.step()
def work(name: str) -> str:
    return f"Hello, {name}!"


@DBOS.workflow()
def hello(name: str = "world") -> None:
    print(work(name))


if __name__ == "__main__":
    DBOS(config={"name": "benchmark", "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"]})
    DBOS.launch()
    hello()
    DBOS.destroy()
