"""A model is trained with several learning rates, the best one is shown to a person, and published if that one says so.

The run waits for the answer as long as an hour; the README has the ways to give it.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from penstock import flow, pause_flow_run, task
from penstock.artifacts import create_markdown_artifact
from penstock.input import RunInput
from pydantic import Field

from model import Model, Sample, fitted, made_data

RATES = [0.001, 0.01, 0.1]


class Verdict(RunInput):
    """What a person is asked; the UI makes a form of it, and what does not fit is refused."""

    publish: bool = Field(description="Whether the model may be published.")
    channel: Literal["beta", "stable"] = "beta"
    percent: int = Field(10, ge=1, le=100, description="How many of the users get it first.")
    reason: str = ""


# What has completed is not trained again when the run is resumed or retried: its result is kept.
@task(task_run_name="train at {rate}", persist_result=True)
def train(samples: list[Sample], rate: float) -> Model:
    return fitted(samples, rate=rate, epochs=400)


@task
def best_of(models: list[Model], samples: list[Sample]) -> tuple[Model, float]:
    scored = [(model.accuracy(samples), number, model) for number, model in enumerate(models)]
    accuracy, _, model = max(scored)
    return model, accuracy


@task
def publish(model: Model, verdict: Verdict, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{verdict.channel}.json"
    path.write_text(json.dumps(asdict(model) | {"percent": verdict.percent}, indent=2), encoding="utf-8")
    return path


def report(model: Model, accuracy: float) -> str:
    return "\n".join(
        [
            f"Accuracy on plants that it has not seen: **{accuracy:.1%}**.",
            "",
            "| weight | value |",
            "|---|---|",
            *(f"| {name} | {value:.3f} |" for name, value in asdict(model).items()),
        ]
    )


@flow(flow_run_name="train-{count}-plants", log_prints=True)
def training(count: int = 400, folder: Path = Path("published")) -> str:
    samples = made_data(count)
    seen, unseen = samples[: count * 3 // 4], samples[count * 3 // 4 :]
    models = [train.submit(seen, rate) for rate in RATES]
    model, accuracy = best_of(models, unseen)
    text = report(model, accuracy)
    create_markdown_artifact(text, key="model", description="The model that waits for a verdict.")

    print(f"a model with an accuracy of {accuracy:.1%} waits for a verdict")
    verdict = pause_flow_run(wait_for_input=Verdict, timeout=3600, key="verdict", description=text)

    if not verdict.publish:
        print(f"not published: {verdict.reason or 'no reason given'}")
        return "rejected"
    print(f"published to {verdict.percent} % of {verdict.channel}: {publish(model, verdict, folder)}")
    return "published"


if __name__ == "__main__":
    training()
