"""The log of a run also has what programs write, and the loggers that are named.

You will see what a program wrote, as it wrote it, and three lines of loggers. `penstock flow-run logs ID` shows the
program's lines, too, in their places, as lines of the task that started it.
"""

import logging
import subprocess

from penstock import flow, get_run_logger, task
from penstock.settings import PENSTOCK_LOGGING_EXTRA_LOGGERS, temporary_settings

logger = logging.getLogger("warehouse.loader")  # as a library has it, or a module of your own


@task
def unpack():
    get_run_logger().info("unpacking %s", "orders")
    subprocess.run(["sh", "-c", "echo 3 files; echo one is empty >&2"], check=True)
    logger.warning("an empty file is left out")


@flow(capture="all")
def load():
    unpack()
    logger.info("%d rows", 10)


if __name__ == "__main__":
    with temporary_settings({PENSTOCK_LOGGING_EXTRA_LOGGERS: "warehouse"}):
        load()
