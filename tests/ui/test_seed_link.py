"""The seed's manual approval, by a person with a browser: the link in the message opens the run's page, and its Resume
button has the run go on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from ..blocks.services import web_service
from ..flows.kit import SOURCE, until
from .kit import House, Watched

pytestmark = pytest.mark.chromium
SEED = Path(__file__).parents[1] / "acceptance" / "seed" / "semi_manual_process.py"


def test_the_link_in_the_message_opens_the_run_and_resume_there_has_it_go_on(
    house: House, look: Callable[..., Watched], program_directory: Path
) -> None:
    environment = {
        **os.environ, "PYTHONPATH": str(SOURCE), "PENSTOCK_HOME": str(program_directory),
        "PENSTOCK_API_URL": house.server.url,
    }  # fmt: skip
    with web_service() as slack:
        subprocess.run(
            [sys.executable, "-m", "penstock", "block", "create", "slack-webhook", "default"],
            input=f"{slack.url}/services/T0/B0/token", text=True, check=True, env=environment, capture_output=True,
        )  # fmt: skip
        program = subprocess.Popen(
            [sys.executable, str(SEED)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            until(lambda: bool(slack.came), 30)
            link = str(slack.came[0].json["text"]).rpartition(" ")[2]
            page = look().page
            page.goto(link)
            expect(page.locator("h1")).to_contain_text("Paused")
            page.get_by_role("button", name="Resume").click()
            page.get_by_role("dialog").get_by_role("button", name="Resume").click()
            expect(page.locator("h1")).to_contain_text("Completed")
            assert program.wait(15) == 0
        finally:
            program.kill()
            program.communicate()
