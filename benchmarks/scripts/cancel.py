"""The command `flow-run cancel` in a process that has loaded it: reads a run's id, says when it began to cancel."""

import importlib
import sys
import time

from penstock.cli.main import main

importlib.import_module("penstock.cli.flow_run")
importlib.import_module("penstock.store.sqlite")
print("ready", flush=True)
id, grace = sys.stdin.readline().split()
print(time.monotonic(), flush=True)
sys.argv[1:] = ["flow-run", "cancel", id, "--grace", grace]
main()
