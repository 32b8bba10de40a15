"""`python -m benchmarks.capture`: what it costs to have every line in the log, and how soon a follower shows one.

Each program runs in a process of its own with a fresh home. Costs are what is added to the same work in the same
process without capture, in turn; of several samples the median, the fastest and the slowest are shown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"

# The work, how a flow is made of it, and then both on the clock.
PRINTS = """
def work(n):
    for number in range(n):
        print("line", number)

options = {"log_prints": True}
"""

OUTPUT = """
import subprocess

def work(n):
    subprocess.run(["seq", "1", str(n)], check=True)

options = {"capture": "all"}
"""

ON_THE_CLOCK = """
import json, re, sys, time
from penstock import connect, flow

def seconds(call, n):
    began = time.perf_counter()
    call(n)
    connect.disconnect()
    return time.perf_counter() - began

n, captured = int(sys.argv[1]), flow(**options)(work)
captured(1)
bare, ours = seconds(work, n), seconds(captured, n)
# (Not `getrusage`: it also tells how large the process was that started this one.)
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
sys.stderr.write("\\n" + json.dumps({"bare": bare, "ours": ours, "peak": peak / 1024}) + "\\n")
"""

FOLLOWED = """
import random, sys, time
from penstock import flow, task

@task
def work(n):
    for _ in range(n):
        print("printed at", repr(time.time()))
        time.sleep(random.uniform(0.002, 0.03))

@flow(log_prints=True, flow_run_name="followed")
def main(n):
    sys.stdin.readline()
    for future in [work.submit(n // 4) for _ in range(4)]:
        future.result()

main(int(sys.argv[1]))
"""


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return {**kept, "PENSTOCK_HOME": str(home), "PYTHONPATH": str(SOURCE), "PENSTOCK_STOP_WATCHDOG": "false"}


def cost(program: str, n: int, samples: int) -> list[dict[str, float]]:
    """`bare` and `ours` in seconds, `peak` in MiB; of each sample."""
    found = []
    for _ in range(samples):
        with tempfile.TemporaryDirectory() as home:
            command = [sys.executable, "-c", program + ON_THE_CLOCK, str(n)]
            done = subprocess.run(
                command, env=environment(Path(home)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True
            )
            found.append(json.loads(done.stderr.splitlines()[-1]))
            check(Path(home), n)
    return found


def check(home: Path, n: int) -> None:
    """A number cannot be bought by losing lines: n of one run and one of another are in the record."""
    with contextlib.closing(sqlite3.connect(home / "penstock.db")) as record:
        (lines,) = record.execute(
            "SELECT count(DISTINCT message) FROM log WHERE message LIKE 'line %' OR message GLOB '[1-9]*'"
        ).fetchone()
    if lines != n:
        sys.exit(f"{lines:,} different lines are in the record, where {n:,} should be")


def delays(n: int) -> list[float]:
    """Seconds between the print of a line and its being read from `logs --follow`, for each of some n lines."""
    with tempfile.TemporaryDirectory() as home:
        surroundings = environment(Path(home))
        penstock = [sys.executable, "-m", "penstock", "flow-run", "logs", "followed"]
        program = subprocess.Popen(
            [sys.executable, "-c", FOLLOWED, str(n)],
            env=surroundings, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while subprocess.run(penstock, env=surroundings, capture_output=True, check=False).returncode:
            if program.poll() is not None:
                raise RuntimeError("the program to be followed has ended")
        follower = subprocess.Popen([*penstock, "--follow"], env=surroundings, stdout=subprocess.PIPE)
        assert program.stdin is not None
        assert follower.stdout is not None
        follower.stdout.readline()  # it follows: now the program may go on
        program.stdin.write(b"\n")
        program.stdin.flush()
        found = read_delays(follower.stdout.fileno())
        program.wait()
        follower.wait()
        return found


def read_delays(fd: int) -> list[float]:
    import time

    found, rest = [], b""
    while data := os.read(fd, 1 << 20):
        now = time.time()
        *lines, rest = (rest + data).split(b"\n")
        found += [now - float(line.rpartition(b" ")[2]) for line in lines if b"printed at" in line]
    return found


def row(name: str, of: Callable[[dict[str, float]], float], samples: list[dict[str, float]], form: str) -> str:
    values = sorted(map(of, samples))
    shown = " – ".join(format(value, form) for value in (values[0], values[-1]))
    return f"| {name} | {format(statistics.median(values), form)} | {shown} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="samples of each, default 5")
    options = parser.parse_args()
    few, many, followed = (2_000, 20_000, 100) if options.quick else (10_000, 1_000_000, 800)
    lines = ["| what | median | fastest – slowest |", "|---|--:|--:|"]
    for title, program, n, samples in (
        ("prints", PRINTS, few, options.repeat),
        ("prints", PRINTS, many, 1),
        ('lines of a program, `capture="all"`', OUTPUT, few, options.repeat),
    ):
        found = cost(program, n, samples)
        added = row(f"{n:,} {title}: seconds more than without", lambda each: each["ours"] - each["bare"], found, ".3f")
        lines += [added, row(f"{n:,} {title}: largest resident size, MiB", lambda each: each["peak"], found, ".0f")]
    late = sorted(delays(followed))
    percentile = late[int(len(late) * 0.99)]
    lines.append(
        f"| a line in `logs --follow`, seconds after its print ({len(late):,} lines; 99 % within {percentile:.3f}) "
        f"| {statistics.median(late):.3f} | {late[0]:.3f} – {late[-1]:.3f} |"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
