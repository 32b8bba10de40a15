"""The seed's examples run as the document has them, by `penstock run --prefect`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.blocks.services import web_service
from tests.flows.kit import until

from .conftest import Record, python

SEED = Path(__file__).parent / "seed"
RUN = ("-m", "penstock", "run", "--prefect", "--rules", "2")


def test_a_task_times_out(folder: Path, environment: dict[str, str], record: Record) -> None:
    ended = python(folder, environment, *RUN, str(SEED / "timeout.py"))

    assert ended.code == 1
    assert "I will not run" not in ended.err
    assert "ERROR   | Task run 'show_timeouts-0' - Task run exceeded timeout of 1.0 second(s)" in ended.lines()
    assert record.task_runs() == [("show_timeouts-0", "FAILED", "TimedOut")]
    assert "I will run" in record.log()


def test_prints_are_lines(folder: Path, environment: dict[str, str], record: Record) -> None:
    for name in ("hi", "custom_functions"):
        assert python(folder, environment, *RUN, str(SEED / f"{name}.py")).code == 0

    assert {"Hi from Prefect! 🤗", "hello 👋", "world 🌍", "custom non-Prefect code"} <= set(record.log())


def test_a_task_opts_out(folder: Path, environment: dict[str, str], record: Record) -> None:
    ended = python(folder, environment, *RUN, str(SEED / "opt_out.py"))

    assert ended.out == "print this only locally to the terminal\ncustom sensitive data\n"
    assert "hello 👋" in record.log()
    assert b"custom sensitive data" not in record.everything()


def test_a_person_approves(folder: Path, environment: dict[str, str], record: Record) -> None:
    """The link that Slack is sent, and the call that the document resumes by."""
    with web_service() as slack:
        subprocess.run(
            [sys.executable, "-m", "penstock", "block", "create", "slack-webhook", "default"],
            input=f"{slack.url}/services/T0/B0/token", text=True, check=True, env=environment, capture_output=True,
        )  # fmt: skip
        program = subprocess.Popen(
            [sys.executable, *RUN, str(SEED / "semi_manual_process.py")],
            env={**environment, "PREFECT_UI_URL": "http://ui.example"},
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        )  # fmt: skip
        try:
            until(lambda: bool(slack.came), 30)
            link = str(slack.came[0].json["text"]).rpartition(" ")[2]
            assert link.startswith("http://ui.example/flow-runs/flow-run/")
            run_id = link.rpartition("/")[2]
            until(lambda: record.flow_runs()[0][1] == "PAUSED", 30)
            (folder / "resume.py").write_text(f"from prefect import resume_flow_run\n\nresume_flow_run({run_id!r})\n")
            assert python(folder, environment, *RUN, "resume.py").code == 0
            out, _ = program.communicate(timeout=30)
        finally:
            program.kill()
    assert program.returncode == 0, out
    assert "The answer is... 42!" in record.log()
