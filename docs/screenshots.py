"""Makes the pictures of the UI in `docs/images`: `python docs/screenshots.py`. Needs `make ui` and Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
IMAGES = HERE / "images"


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "PENSTOCK_HOME": home}
        environment.pop("PENSTOCK_API_URL", None)
        server = subprocess.Popen(
            [sys.executable, "-m", "penstock", "server", "start", "--port", "0"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        demo = subprocess.Popen(
            [sys.executable, str(HERE / "demo.py")], env=environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            origin = server.stdout.readline().rpartition(" ")[2].strip()
            with sync_playwright() as playwright:
                path = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
                browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
                take(browser, origin)
                browser.close()
        finally:
            for process in (demo, server):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def take(browser: Browser, origin: str) -> None:
    for theme in ("light", "dark"):
        page = browser.new_context(viewport={"width": 1200, "height": 720}, color_scheme=theme).new_page()  # type: ignore[arg-type]
        page.goto(f"{origin}/runs")
        page.get_by_role("row", name="release").get_by_text("Paused").wait_for(timeout=60_000)
        save(page, f"runs-{theme}")
        page.get_by_role("link", name="etl-of-6-parts").click()
        page.get_by_role("option", name="extract-3").click()
        page.get_by_label("Task run", exact=True).get_by_text("AwaitingRetry").wait_for()
        save(page, f"run-{theme}")
        page.goto(f"{origin}/approvals")
        page.get_by_role("button", name="Resume").click()
        page.get_by_label("version").fill("2.7.0")
        save(page, f"resume-{theme}")


def save(page: Page, name: str) -> None:
    page.wait_for_timeout(400)
    page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
