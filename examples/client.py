"""A program looks at what ran: which runs failed, how far they came, what they wrote last.

You will see "etl-2 Failed", how many of its task runs are in which state, and the line that it wrote last. With
PENSTOCK_API_URL set, the same program asks a server.
"""

from penstock import flow, get_client, task
from penstock.client import LogFilter, RunFilter
from penstock.states import StateType


@task
def load(day):
    print("loading day", day)
    if day == 2:
        raise ValueError("there is no day 2")


@flow(flow_run_name="etl-{last}", log_prints=True)
def etl(last):
    for day in range(last + 1):
        load(day)


def look():
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(RunFilter(flow_names=("etl",), state_types=(StateType.FAILED,))):
            print(run.name, run.state_name, client.count_task_runs_of_flow_run(run.id))
            (line,) = client.read_logs(run.id, filter=LogFilter(containing="loading"), limit=1, backwards=True)
            print("its last line:", line.message)


if __name__ == "__main__":
    etl(1)
    etl(2, return_state=True)
    look()
