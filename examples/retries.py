"""A task that fails is tried again: how often, after which waits, and for which failures.

You will see two failures with "Retry 1/3" and "Retry 2/3", the third attempt's success, and a second task whose
failure is not worth a retry: it runs once.
"""

from penstock import flow, task
from penstock.runtime import task_run


def worth_it(task, run, state):
    """Called after a failure: no further attempt when it says False."""
    return isinstance(state.result(raise_on_failure=False), ConnectionError)


@task(retries=3, retry_delay_seconds=[0.1, 0.2, 0.4], retry_condition_fn=worth_it)
def fetch():
    if task_run.run_count < 3:
        raise ConnectionError("the line is down")
    return f"fetched at attempt {task_run.run_count}"


@task(retries=3, retry_condition_fn=worth_it)
def parse():
    raise ValueError("this will not get better")


@flow(log_prints=True)
def persistent():
    print(fetch())
    print(parse(return_state=True))


if __name__ == "__main__":
    persistent()
