"""One task run for each of many files. Broken files are told apart from the others, and end nothing but themselves."""

import json
from dataclasses import dataclass
from pathlib import Path

from penstock import State, allow_failure, flow, task
from penstock.artifacts import create_table_artifact
from penstock.futures import wait
from penstock.states import Completed, Failed

MOST_BROKEN = 0.25  # a larger share is no accident


@dataclass(frozen=True)
class Summary:
    sensor: str
    lowest: float
    highest: float


@task(task_run_name="{path.stem}")
def summarise(path: Path) -> Summary:
    reading = json.loads(path.read_text(encoding="utf-8"))
    values = reading["celsius"]
    if not values:
        raise ValueError("a day without values")
    return Summary(reading["sensor"], min(values), max(values))


@task
def overview(summaries: list[Summary | Exception]) -> str:
    """What failed comes as its exception, because the flow says `allow_failure`."""
    whole = [each for each in summaries if isinstance(each, Summary)]
    if not whole:
        return "no sensor has values"
    lowest, highest = min(each.lowest for each in whole), max(each.highest for each in whole)
    return f"{len(whole)} of {len(summaries)} sensors, {lowest} to {highest} °C"


@task
def warmest(summaries: list[Summary]) -> str:
    return max(summaries, key=lambda each: each.highest).sensor


@task(task_run_name="move-{path.name}")
def set_aside(path: Path) -> None:
    aside = path.parent / "broken"
    aside.mkdir(exist_ok=True)
    path.rename(aside / path.name)


@flow(log_prints=True)
def fan_out(folder: Path = Path("readings")) -> State:
    paths = sorted(folder.glob("*.json"))
    futures = summarise.map(paths)

    # Without `allow_failure` this task would not run: it would be NotReady, as one of its inputs failed.
    text = overview.submit(allow_failure(futures))
    wait(futures)
    print(text.result())

    broken = [(path, future.state) for path, future in zip(paths, futures, strict=True) if future.state.is_failed()]
    whole = [future for future in futures if future.state.is_completed()]
    if whole:
        print("the warmest is", warmest(whole))
    for path, _ in broken:
        # A file that cannot be moved is worth a line in the log, and no more: so the state, which raises nothing.
        if not (state := set_aside(path, return_state=True)).is_completed():
            print(path.name, "stays where it is:", state.message)
    rows = [{"file": path.name, "why": repr(state.result(raise_on_failure=False))} for path, state in broken]
    create_table_artifact(rows, key="broken-files", description=f"{len(broken)} of {len(paths)} files")

    message = f"{len(broken)} of {len(paths)} files are broken."
    if len(broken) > len(paths) * MOST_BROKEN:
        return Failed(message=message)
    return Completed(message=message)


def make(folder: Path) -> None:
    """What 23 sensors wrote in a day. The last three files are broken, each in its own way."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(20):
        values = [round(15 + number / 4 + hour / 10, 1) for hour in range(24)]
        text = json.dumps({"sensor": f"s{number:02}", "celsius": values})
        (folder / f"sensor-{number:02}.json").write_text(text, encoding="utf-8")
    (folder / "sensor-90.json").write_text('{"sensor": "s90", "celsius": [15.1, 15.', encoding="utf-8")
    (folder / "sensor-91.json").write_text('{"sensor": "s91", "celsius": []}', encoding="utf-8")
    (folder / "sensor-92.json").write_bytes(b"\xff\xfe\x00 no text at all")


if __name__ == "__main__":
    make(Path("readings"))
    fan_out()
