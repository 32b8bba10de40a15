"""What a run gives back: its value, or its state, and how a flow's own state is decided.

You will see a failed task that the flow looked at and went on from, one that it returned (so it failed too), and
states that a flow made itself.
"""

from penstock import flow, task
from penstock.states import Completed


@task
def fails():
    raise ValueError("no luck")


@flow
def goes_on():
    state = fails(return_state=True)  # the state instead of the exception
    return f"the task is {state.name}: {state.result(raise_on_failure=False)!r}"


@flow
def returns_the_state():
    return fails(return_state=True)  # a flow is what the states that it returns are


@flow
def says_so_itself():
    return Completed(name="Skipped", message="nothing to do today")


if __name__ == "__main__":
    print(goes_on())
    print(returns_the_state(return_state=True))
    print(says_so_itself(return_state=True))
