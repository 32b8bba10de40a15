"""A task that takes too long is stopped at its deadline, and its run ends as TimedOut.

You will see "going to sleep", one second later the task's `TimedOut` line, and never "woke up". The flow asked for
the state instead of the value (`return_state=True`), so it goes on, and says what it got.
"""

import time

from penstock import flow, task


@task(timeout_seconds=1)
def too_slow():
    print("going to sleep")
    time.sleep(30)
    print("woke up")


@flow(log_prints=True)
def impatient():
    started = time.monotonic()
    state = too_slow(return_state=True)
    print(f"the task is {state.name} after {time.monotonic() - started:.0f} s")
    print(f"its error is a TimeoutError: {isinstance(state.result(raise_on_failure=False), TimeoutError)}")


if __name__ == "__main__":
    impatient()
