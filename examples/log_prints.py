"""Prints are lines of the run's log; a task that opts out prints to the terminal only.

You will see four log lines (of the flow, of a task, of a function that it calls, of a thread that it starts) and one
bare line, "the password is ...", which is in no log: `penstock flow-run logs ID` shows the others.
"""

import threading

from penstock import flow, task


def helper():
    print("a function that the task calls")


@task
def work():
    print("the task")
    helper()
    thread = threading.Thread(target=print, args=["a thread that the task starts"])
    thread.start()
    thread.join()


@task(log_prints=False)
def sensitive():
    print("the password is ...")


@flow(log_prints=True)
def printing():
    print("the flow")
    work()
    sensitive()


if __name__ == "__main__":
    printing()
