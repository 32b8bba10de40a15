"""How the run page does with a large run, in a real browser: `python -m benchmarks.ui [--tasks N] [--lines N]`.

Makes a run of so many task runs and log lines (10,000 and 1,000,000) in a record of its own, serves it, and looks at
it. Needs `make ui`, Chromium, and the packages of `penstock[test]`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROGRAM = """
import sys
from penstock import flow, task

@task
def step(number):
    return number

@flow(log_prints=True)
def large(tasks, lines):
    for number in range(lines):
        print(f"line {number}: something was done and this is how it went")
    for future in step.map(range(tasks)):
        future.result()

large(int(sys.argv[1]), int(sys.argv[2]))
"""
LIVE = """
import sys, time
from penstock import flow

@flow(log_prints=True)
def live():
    print("begun")
    for line in sys.stdin:
        print("said", line.strip(), f"{time.time():.4f}")

live()
"""
# Frames that the page draws while it is scrolled by a screen each frame, and how long each took.
SCROLL = """
async ([selector, step, seconds]) => {
  const box = document.querySelector(selector);
  const times = [];
  const end = performance.now() + seconds * 1000;
  let last = await new Promise(requestAnimationFrame);
  while (performance.now() < end) {
    box.scrollTop += step;
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    last = now;
  }
  return times;
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--lines", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = {**os.environ, "PENSTOCK_HOME": folder, "PENSTOCK_LOGGING_LEVEL": "INFO"}
        environment.pop("PENSTOCK_API_URL", None)
        (home / "large.py").write_text(PROGRAM)
        (home / "live.py").write_text(LIVE)
        print(f"making a run of {given.tasks:,} task runs and {given.lines:,} lines …", flush=True)
        program = [sys.executable, str(home / "large.py"), str(given.tasks), str(given.lines)]
        subprocess.run(program, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = subprocess.Popen(
            [sys.executable, "-m", "penstock", "server", "start", "--port", "0"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            origin = server.stdout.readline().rpartition(" ")[2].strip()
            look(origin, home, environment)
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def look(origin: str, home: Path, environment: dict[str, str]) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--enable-precise-memory-info"]
        )
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.goto(f"{origin}/runs")
        page.locator("tbody tr a").first.wait_for()
        paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        run = page.locator("tbody tr a").first.get_attribute("href")
        rows, lines = [], []
        for _ in range(5):
            begun = time.perf_counter()
            page.goto(f"{origin}{run}")
            page.get_by_role("option").first.wait_for()
            rows.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            page.goto(f"{origin}{run}?tab=logs")
            page.locator(".line").first.wait_for()
            lines.append(time.perf_counter() - begun)
        show("first paint", page.evaluate(paint) / 1000, "s")
        show("run page, first rows of the timeline", statistics.median(rows), "s")
        show("run page, first lines of the log", statistics.median(lines), "s")
        scrolled(page, ".log", -400, "scrolling the log back")
        page.goto(f"{origin}{run}")
        page.get_by_text("10,000 runs").or_(page.get_by_text("the first")).or_(
            page.get_by_text(" runs")
        ).first.wait_for()
        page.wait_for_timeout(3_000)
        scrolled(page, ".rows", 400, "scrolling the timeline")
        session = page.context.new_cdp_session(page)
        session.send("HeapProfiler.collectGarbage")
        show("memory of the page's objects", page.evaluate("performance.memory.usedJSHeapSize") / 2**20, "MiB")
        follow(page, origin, home, environment)
        browser.close()


def scrolled(page: Any, selector: str, step: int, what: str) -> None:
    times = page.evaluate(SCROLL, [selector, step, 3])
    show(f"{what}, frames a second", 1000 / statistics.fmean(times), "")
    show(f"{what}, 95 % of frames within", sorted(times)[int(len(times) * 0.95)], "ms")


def follow(page: Any, origin: str, home: Path, environment: dict[str, str]) -> None:
    """From a line's writing to its being seen, and from the run's end to its state on the page."""
    program = subprocess.Popen(
        [sys.executable, str(home / "live.py")], env=environment, stdin=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    page.goto(f"{origin}/runs?q=flow%3Alive")
    page.locator("tbody tr a").first.wait_for()
    page.goto(f"{origin}{page.locator('tbody tr a').first.get_attribute('href')}?tab=logs")
    page.get_by_text("begun").wait_for()
    page.wait_for_timeout(500)
    seen = []
    for number in range(20):
        assert program.stdin is not None
        begun = time.perf_counter()
        program.stdin.write(f"{number}\n")
        program.stdin.flush()
        page.get_by_text(f"said {number} ").wait_for()
        seen.append(time.perf_counter() - begun)
    show("a line written → seen, median", statistics.median(seen), "s")
    begun = time.perf_counter()
    program.stdin.close()
    page.locator("h1", has_text="Completed").wait_for()
    show("a run's end → seen", time.perf_counter() - begun, "s")
    program.wait()


def show(what: str, value: float, unit: str) -> None:
    print(f"{what:55} {value:10.3f} {unit}", flush=True)


if __name__ == "__main__":
    main()
