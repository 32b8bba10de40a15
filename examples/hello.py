"""The flow of the README: a task called once, then mapped over a list.

You will see the run's lines in the terminal; `penstock flow-run ls` shows the run in the record.
"""

from penstock import flow, task


@task
def greet(name):
    return f"Hello, {name}!"


@flow(log_prints=True)
def hello():
    print(greet("world"))
    print(*greet.map(["Ada", "Grace", "Edsger"]).result())


if __name__ == "__main__":
    hello()
