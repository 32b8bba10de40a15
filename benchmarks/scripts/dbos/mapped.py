"""Workflows put into a queue from a workflow, then waited for."""

import os

from dbos import DBOS


@DBOS.workflow()
def work(x: int) -> int:
    return x


@DBOS.workflow()
def run(n: int) -> int:
    handles = [DBOS.enqueue_workflow("work", work, i) for i in range(n)]
    return sum(handle.get_result() for handle in handles)


def main(n: int) -> int:
    return run(n)


DBOS(config={"name": "benchmark", "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"]})
DBOS.launch()
end = DBOS.destroy
DBOS.register_queue("work")
