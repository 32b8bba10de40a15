"""Starts a program from a small process, because what the system counts as the largest size of a process includes the
size of the one that started it; `measure.py` runs it.

`launched.py OUTCOME COMMAND…` writes seconds, the largest size (of the program, or of a process that it waited for) and
the exit code to a JSON file. It uses nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

if __name__ == "__main__":
    began = perf_counter()
    process = subprocess.Popen(sys.argv[2:])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    Path(sys.argv[1]).write_text(json.dumps([seconds, usage.ru_maxrss, process.returncode]))
