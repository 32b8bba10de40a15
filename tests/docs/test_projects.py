"""Each project of the examples does what its README promises: its programs are run, its commands are given.

Those that want a server or an engine are in `test_projects_on_servers.py`.
"""

from __future__ import annotations

import json
import mailbox
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.containers import SOURCE
from tests.flows.kit import until

from .conftest import ROOT, Ended, blocks
from .test_docs import understood
from .test_examples import in_order

EXAMPLES = ROOT / "examples"
PROJECTS = EXAMPLES / "projects"
NAMES = sorted(path.parent.name for path in PROJECTS.glob("*/README.md"))
Run = Callable[..., Ended]
Penstock = Callable[..., Any]


class Program:
    """A program under way, in the folder of this test."""

    def __init__(self, folder: Path, arguments: tuple[str | Path, ...], environment: dict[str, str]) -> None:
        self._written = folder.parent / f"written-{len(list(folder.parent.glob('written-*')))}"
        path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
        with self._written.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                cwd=folder,
                env={**os.environ, "PENSTOCK_STOP_WATCHDOG": "true", "PYTHONPATH": path, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._written.read_text(encoding="utf-8", errors="replace")

    def until_said(self, text: str) -> None:
        until(lambda: text in self.said or self.process.poll() is not None)
        assert text in self.said, self.said

    def end(self, number: int | None = None, seconds: float = 30) -> str:
        """Waits for its good end, after a signal where one is given; all that it said."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(seconds)
        assert code == 0, self.said
        return self.said

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


Start = Callable[..., Program]


@pytest.fixture
def start(penstock_home: Path, folder: Path) -> Iterator[Start]:
    """Starts `python ARGUMENTS…` beside the test; what is still running at its end is killed."""
    started: list[Program] = []

    def start(*arguments: str | Path, **environment: str) -> Program:
        started.append(Program(folder, arguments, environment))
        return started[-1]

    yield start
    for each in started:
        each.close()


def states(penstock: Penstock, kind: str) -> Counter[tuple[str, str]]:
    """How many runs of which flow or task are in which state."""
    name = f"{kind.partition('-')[0]}_name"
    return Counter((run[name], run["state_name"]) for run in penstock(kind, "ls", "--limit", "200"))


def the_run(penstock: Penstock, flow: str) -> dict[str, Any]:
    """Everything known of the only run of a flow."""
    (run,) = penstock("flow-run", "ls", "--flow-name", flow)
    found: dict[str, Any] = penstock("flow-run", "inspect", run["id"])
    return found


# --- what holds for all ----------------------------------------------------------------------------------------------


def test_the_index_has_every_example_and_no_other() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[([\w.]+)\]\(([\w./]+)\)", text, re.M)

    assert {target for _, target in listed} == {path.name for path in EXAMPLES.glob("*.py")} | {
        f"projects/{name}/README.md" for name in NAMES
    }
    assert all(name in target for name, target in listed)
    assert all((EXAMPLES / target).is_file() for _, target in listed)


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_is_short_and_its_commands_and_links_exist(name: str) -> None:
    page = PROJECTS / name / "README.md"
    text = page.read_text(encoding="utf-8")
    shown = "\n".join(block.text for block in blocks(page) if block.info == "sh")
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    commands = re.findall(r"\bpenstock [a-z-][^&|#\n]*", shown) + re.findall(r"`(penstock [a-z-][^`]*)`", prose)

    assert 10 <= len(text.splitlines()) <= 30
    assert commands
    assert [(line, why) for line in commands if (why := understood(line))] == []
    for program in re.findall(r"^python (\S+)", shown, re.M):
        assert (PROJECTS / name / program).is_file()
    for target in re.findall(r"\]\(([^)#\s]+)", prose):
        assert (page.parent / target).resolve().exists(), target


def test_a_project_has_a_few_files_of_a_length_that_is_read() -> None:
    for path in PROJECTS.rglob("*.py"):
        assert 40 <= len(path.read_text(encoding="utf-8").splitlines()) <= 150, path


# --- etl_to_sqlite ---------------------------------------------------------------------------------------------------


def orders(folder: Path) -> list[tuple[str, str, int]]:
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        return connection.execute("SELECT id, customer, cents FROM orders ORDER BY id").fetchall()


def test_orders_are_loaded_once_however_often_the_flow_is_run(run: Run, penstock: Penstock, folder: Path) -> None:
    program = PROJECTS / "etl_to_sqlite" / "etl.py"

    first, loaded, second = run(program), orders(folder), run(program)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "5 orders, 5 of them new" in first.err
    assert "5 orders, 0 of them new" in second.err
    assert loaded == orders(folder)
    assert loaded[:3] == [("B-1", "Ada", 1990), ("B-2", "Grace", 500), ("L-1", "Edsger", 120050)]
    rejected = penstock("artifact", "inspect", "rejected-orders")["data"]
    assert [row["order"] for row in rejected] == ["B-3", "L-2", "L-3", "O-2"]
    assert states(penstock, "flow-run") == {("etl", "Completed"): 2}
    assert states(penstock, "task-run") == {
        ("extract", "Completed"): 6, ("clean", "Completed"): 6, ("load", "Completed"): 2,
    }  # fmt: skip


def test_a_source_that_is_down_is_asked_again_and_no_other(run: Run, penstock: Penstock) -> None:
    run(PROJECTS / "etl_to_sqlite" / "etl.py")

    extracts = {each["name"]: each for each in penstock("task-run", "ls") if each["task_name"] == "extract"}
    tried = {name: penstock("task-run", "inspect", each["id"])["run_count"] for name, each in extracts.items()}
    assert tried == {"extract-0": 1, "extract-1": 1, "extract-2": 3}  # the third branch is Oslo


# --- scraper ---------------------------------------------------------------------------------------------------------


def test_a_site_is_crawled_politely_and_not_twice(run: Run, penstock: Penstock) -> None:
    program = PROJECTS / "scraper" / "crawl.py"
    *_, limits = blocks(PROJECTS / "scraper" / "README.md")
    for command in limits.text.splitlines():
        assert run("-m", *command.split()).code == 0, command

    first, second = run(program), run(program)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "requests to the site: 12, of which it refused: 0" in first.out
    assert "requests to the site: 1, of which it refused: 0" in second.out
    assert "11 pages, not there: /sale/" in second.err
    old, new = (each["data"] for each in penstock("artifact", "ls", "--key", "shop-pages"))
    assert old == new
    assert {row["path"]: row["price"] for row in new if row["price"]} == {
        "/tea/assam": 4.2, "/tea/darjeeling": 6.8, "/tea/sencha": 5.5, "/coffee/mocha": 9.9, "/coffee/java": 8.4,
        "/cups/small-cup": 3.0, "/cups/large-cup": 4.5,
    }  # fmt: skip
    assert states(penstock, "flow-run") == {("crawl", "Completed"): 2}
    assert states(penstock, "task-run") == {
        ("fetch", "Completed"): 11, ("fetch", "Cached"): 11, ("fetch", "Failed"): 2,
    }  # fmt: skip


# --- model_training --------------------------------------------------------------------------------------------------

TRAINING = PROJECTS / "model_training"
PUBLISH = '{"publish": true, "percent": 25}'


def waiting(start: Start) -> Program:
    program = start(TRAINING / "training.py")
    program.until_said("Pausing flow")
    return program


def test_a_model_is_published_when_a_person_says_so_on_the_command_line(
    start: Start, run: Run, penstock: Penstock, folder: Path
) -> None:
    program = waiting(start)
    assert [each["flow_name"] for each in penstock("flow-run", "ls", "--state", "Paused")] == ["training"]

    too_much = run(
        "-m", "penstock", "flow-run", "resume", "train-400-plants", "--input", '{"publish": true, "percent": 250}'
    )
    resumed = run(
        "-m", "penstock", "flow-run", "resume", "train-400-plants", "--input", PUBLISH, "--comment", "looks good"
    )

    assert too_much.code == 1
    assert "250 is greater than the maximum of 100" in too_much.err
    assert resumed.code == 0, resumed.err
    assert "published to 25 % of beta" in program.end()
    assert json.loads((folder / "published" / "beta.json").read_text())["percent"] == 25
    shown = run("-m", "penstock", "flow-run", "inspect", "train-400-plants").out
    assert re.search(r"Pause verdict: +Resumed by .* via CLI at .*: looks good", shown)
    assert the_run(penstock, "training")["state_name"] == "Completed"
    assert "Accuracy" in penstock("artifact", "inspect", "model")["data"]


def test_a_model_is_published_by_the_python_of_the_readme(start: Start, run: Run, folder: Path) -> None:
    program = waiting(start)
    (code,) = [block.text for block in blocks(TRAINING / "README.md") if block.info == "python"]

    answered = run("-c", code)

    assert answered.code == 0, answered.err
    assert "published to 25 % of stable" in program.end()
    assert (folder / "published" / "stable.json").exists()


def test_a_model_that_is_refused_is_not_published(start: Start, penstock: Penstock, run: Run, folder: Path) -> None:
    program = waiting(start)
    no = '{"publish": false, "reason": "too few plants"}'

    assert run("-m", "penstock", "flow-run", "resume", "train-400-plants", "--input", no).code == 0

    assert "not published: too few plants" in program.end()
    assert not (folder / "published").exists()
    assert states(penstock, "task-run") == {("train", "Completed"): 3, ("best_of", "Completed"): 1}


def test_a_training_that_was_killed_while_it_waited_goes_on_with_the_models_that_it_had(
    start: Start, penstock: Penstock, run: Run, folder: Path
) -> None:
    program = waiting(start)
    program.close()
    until(lambda: penstock("flow-run", "ls", "--state", "Suspended"))

    resumed = run("-m", "penstock", "flow-run", "resume", "train-400-plants", "--input", PUBLISH)

    assert resumed.code == 0, resumed.err
    assert (folder / "published" / "beta.json").exists()
    assert states(penstock, "task-run")["train", "Completed"] == 3


# --- fan_out_files ---------------------------------------------------------------------------------------------------


def test_broken_files_end_nothing_but_themselves(run: Run, penstock: Penstock, folder: Path) -> None:
    ended = run(PROJECTS / "fan_out_files" / "fan_out.py")

    assert ended.code == 0, ended.err
    wanted = ["20 of 23 sensors, 15.0 to 22.1 °C", "the warmest is s19", "3 of 23 files are broken."]
    assert in_order(wanted, [text for line in ended.err.splitlines() for text in wanted if text in line]) == []
    broken = ["sensor-90.json", "sensor-91.json", "sensor-92.json"]
    assert sorted(path.name for path in (folder / "readings" / "broken").iterdir()) == broken
    rows = penstock("artifact", "inspect", "broken-files")["data"]
    assert [row["file"] for row in rows] == broken
    assert [row["why"].partition("(")[0] for row in rows] == ["JSONDecodeError", "ValueError", "UnicodeDecodeError"]
    assert the_run(penstock, "fan-out")["state"]["message"] == "3 of 23 files are broken."
    assert states(penstock, "task-run") == {
        ("summarise", "Completed"): 20, ("summarise", "Failed"): 3, ("overview", "Completed"): 1,
        ("warmest", "Completed"): 1, ("set_aside", "Completed"): 3,
    }  # fmt: skip


def test_a_fan_out_over_nothing_but_broken_files_fails(run: Run, penstock: Penstock, folder: Path) -> None:
    (folder / "readings").mkdir()
    (folder / "readings" / "empty.json").touch()

    ended = run("-c", "import fan_out; fan_out.fan_out()", PYTHONPATH=f"{SOURCE}:{PROJECTS / 'fan_out_files'}")

    assert ended.code == 1
    found = the_run(penstock, "fan-out")["state"]
    assert (found["name"], found["message"]) == ("Failed", "1 of 1 files are broken.")


# --- nightly_report --------------------------------------------------------------------------------------------------


def test_a_report_is_made_as_its_deployment_and_the_team_is_told_when_it_fails(
    start: Start, run: Run, penstock: Penstock, folder: Path
) -> None:
    program = start(PROJECTS / "nightly_report" / "report.py")
    program.until_said("Serving 'nightly-report/nightly'")
    asked = ("-m", "penstock", "deployment", "run", "nightly-report/nightly", "--watch")

    good = run(*asked, "-p", "day=2026-07-01")
    bad = run(*asked)  # yesterday's, which are not there

    assert (good.code, bad.code) == (0, 1), good.out + bad.out
    program.end(signal.SIGINT)
    report = penstock("artifact", "inspect", "nightly-report")
    assert report["data"].startswith("# Orders of Wednesday, 01 July 2026\n")
    assert "| tea | 4 | 19.40 € |" in report["data"]
    assert "**31.40 €** in all, 3 orders." in report["data"]
    (mail,) = mailbox.mbox(folder / "team.mbox")
    assert re.fullmatch(r"nightly-report: [\w-]+ is Failed", mail["Subject"])
    assert "No such file or directory" in mail.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert states(penstock, "flow-run") == {("nightly-report", "Completed"): 1, ("nightly-report", "Failed"): 1}
    (schedule,) = penstock("deployment", "inspect", "nightly-report/nightly")["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 6 * * *", "Europe/Berlin")


def test_a_report_is_made_at_once_where_a_day_is_named(run: Run, penstock: Penstock) -> None:
    ended = run(PROJECTS / "nightly_report" / "report.py", "2026-07-02")

    assert ended.code == 0, ended.err
    assert "| tea | 5 | 21.00 € |" in penstock("artifact", "inspect", "nightly-report")["data"]


# --- tool_agent ------------------------------------------------------------------------------------------------------


def test_a_dangerous_tool_is_used_when_a_person_approves_and_not_when_one_rejects(
    start: Start, run: Run, penstock: Penstock, folder: Path
) -> None:
    program = start(PROJECTS / "tool_agent" / "agent.py")

    def asked_about(name: str) -> bool:
        return name in run("-m", "penstock", "approval", "ls", "--output", "json").out

    until(lambda: asked_about("old.log"))
    assert sorted(path.name for path in (folder / "desk").iterdir()) == ["customers.csv", "notes.txt", "old.log"]
    assert run("-m", "penstock", "approval", "approve", "agent", "--comment", "old enough").code == 0
    until(lambda: asked_about("customers.csv"))
    assert run("-m", "penstock", "approval", "reject", "agent", "--comment", "we need that").code == 0

    said = program.end()

    assert "(a script speaks, no model) What is left: customers.csv, notes.txt" in said
    assert sorted(path.name for path in (folder / "desk").iterdir()) == ["customers.csv", "notes.txt"]
    steps = {row["call"]: row["came of it"] for row in penstock("artifact", "inspect", "agent-steps")["data"]}
    assert steps["delete_file(name='old.log')"] == "old.log is deleted"
    assert steps["delete_file(name='customers.csv')"] == "delete_file was not allowed: we need that"
    assert steps["format_disk()"].startswith("there is no tool 'format_disk'")
    shown = run("-m", "penstock", "flow-run", "inspect", "agent").out
    assert re.search(r"Pause turn-2: +Resumed by .*: old enough", shown)
    assert re.search(r"Pause turn-3: +Rejected by .*: we need that", shown)
    # Neither the model's turns nor the tools were done twice; what was rejected was not done at all.
    assert states(penstock, "task-run") == {("think", "Completed"): 7, ("use", "Completed"): 5}


def test_a_tool_leaves_its_folder_for_nothing(run: Run, folder: Path) -> None:
    (folder / "desk").mkdir()
    (folder / "outside.txt").write_text("not yours")
    code = """
from pathlib import Path
from tools import ToolError, delete_file, read_file
for tool in read_file, delete_file:
    try:
        print(tool(Path("desk"), "../outside.txt"))
    except ToolError as error:
        print("refused:", error)
"""
    ended = run("-c", code, PYTHONPATH=f"{SOURCE}:{PROJECTS / 'tool_agent'}")

    assert ended.out.count("refused: there is no file") == 2
    assert (folder / "outside.txt").exists()


# --- streaming -------------------------------------------------------------------------------------------------------


def test_four_times_as_many_readings_take_no_more_memory(run: Run, penstock: Penstock, folder: Path) -> None:
    ended = run(PROJECTS / "streaming" / "stream.py")

    assert ended.code == 0, ended.err
    few, many = map(float, re.findall(r"the most memory at once: ([\d.]+) MB", ended.err))
    assert many < few * 1.5
    assert "20000 of 200000 readings" in ended.err
    closed = re.findall(r"the source is closed after (\d+) batches", ended.err)
    assert closed == ["10", "40", "1"]
    assert (folder / "readings.jsonl.gz").stat().st_size > 0
    assert states(penstock, "flow-run") == {("stream", "Completed"): 2, ("peek", "Completed"): 1}
    assert states(penstock, "task-run") == {
        ("read", "Completed"): 3, ("thin_out", "Completed"): 2, ("write", "Completed"): 2,
    }  # fmt: skip


def test_a_quick_source_is_held_up_by_slow_consumers(run: Run, penstock: Penstock) -> None:
    ended = run(PROJECTS / "streaming" / "async_stream.py")

    assert ended.code == 0, ended.err
    assert "300 ticks, 30897 in all; never more than 10 waited" in ended.err
    assert sum(map(int, re.findall(r"consumer [abc] had (\d+) ticks", ended.err))) == 300
    assert states(penstock, "task-run") == {("ticks", "Completed"): 1, ("consume", "Completed"): 3}


# --- backfill --------------------------------------------------------------------------------------------------------


def days(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((folder / "warehouse").iterdir())}


def test_days_of_the_past_are_filled_in_and_a_second_time_does_no_harm(
    start: Start, run: Run, penstock: Penstock, folder: Path
) -> None:
    project = PROJECTS / "backfill"
    program = start(project / "sales.py")
    program.until_said("Serving 'daily-sales/daily'")
    nights = ("--start", "2025-03-02", "--end", "2025-03-04", "--parallelism", "2")

    made = penstock("deployment", "backfill", "create", "daily-sales/daily", *nights)
    until(lambda: penstock("deployment", "backfill", "inspect", made["id"])["ended"], 40)
    assert list(days(folder)) == ["2025-03-01.json", "2025-03-02.json"]

    gaps = run(project / "fill.py", "2025-02-28", "2025-03-03")
    assert gaps.code == 0, gaps.out + gaps.err
    assert gaps.out.splitlines() == [
        "2025-02-28 to 2025-02-28: 1 runs", "2025-03-03 to 2025-03-03: 1 runs", "all days are there",
    ]  # fmt: skip
    before = days(folder)
    assert list(before) == [f"2025-{day}.json" for day in ("02-28", "03-01", "03-02", "03-03")]

    assert run(project / "fill.py", "2025-02-28", "2025-03-03").out == "all days are there\n"  # nothing to do
    again = run("-m", "penstock", "deployment", "run", "daily-sales/daily", "-p", "day=2025-03-01", "--watch")
    assert again.code == 0, again.out
    program.end(signal.SIGINT)
    assert days(folder) == before
    assert len(penstock("flow-run", "ls", "--tag", "backfill")) == 4
    assert states(penstock, "flow-run") == {("daily-sales", "Completed"): 5}
    (schedule,) = penstock("deployment", "inspect", "daily-sales/daily")["schedules"]
    assert (schedule["catchup"], schedule["overlap"]) == ("all", "queue")
