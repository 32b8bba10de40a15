"""A flow waits for a person, who is asked for a decision of a type; then it goes on where it was.

You will see the question, and a second later what was decided. Here a thread decides; from another terminal,
`penstock flow-run resume release --input '{"approved": true}'` does the same.
"""

import threading

from penstock import flow, pause_flow_run, resume_flow_run, task
from penstock.input import RunInput
from penstock.runtime import flow_run


class Review(RunInput):
    approved: bool
    reason: str = "none given"


@task
def train():
    return "model-7"


@task
def publish(model):
    print("published", model)


@flow(flow_run_name="release", log_prints=True)
def release():
    model = train()
    decision = {"approved": True, "reason": "better than model-6"}
    threading.Timer(1.0, resume_flow_run, [flow_run.id, decision], {"comment": "go"}).start()
    print("waiting for somebody to look at", model)
    review = pause_flow_run(wait_for_input=Review, timeout=60, description=f"Is {model} good enough?")
    print("decided:", review)
    if review.approved:
        publish(model)


if __name__ == "__main__":
    release()
