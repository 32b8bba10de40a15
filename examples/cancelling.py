"""A flow run is cancelled from outside: its task cleans up, and the hook is called when the record says Cancelled.

You will see "copying", half a second later "closing the connection", the run's end as `Cancelled`, and the hook's line.
Here a thread asks for it; from another terminal, `penstock flow-run cancel nightly` does the same.
"""

import threading
import time

from penstock import flow, task
from penstock.flow_runs import cancel_flow_run
from penstock.runtime import flow_run


@task
def copy(table):
    print("copying", table)
    try:
        time.sleep(30)
    finally:
        print("closing the connection")


def tell(flow, run, state):
    print(f"{run.name} is {state.name}: its code has {state.details['stopped']}")


@flow(flow_run_name="nightly", on_cancellation=[tell], log_prints=True)
def load():
    threading.Timer(0.5, cancel_flow_run, [flow_run.id]).start()
    copy("orders")
    print("never printed")


if __name__ == "__main__":
    load(return_state=True)
