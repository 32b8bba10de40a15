"""What kind of program this process is: one that exists for its runs, or one that has other things to do."""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import cache

from ..infrastructure.process import descendants, kill_tree

# Programs that have other things to do than one run: what happens in a run of theirs is nothing to be ended for.
HOSTS = frozenset(
    {
        "IPython", "aiohttp.web", "airflow", "apscheduler", "arq", "celery", "dagster", "daphne", "django", "dramatiq",
        "flask", "gradio", "gunicorn", "hypercorn", "ipykernel", "luigi", "pytest", "quart", "rq", "sanic", "starlette",
        "streamlit", "temporalio", "tornado.web", "twisted.internet", "uvicorn", "uwsgi", "waitress",
    }
)  # fmt: skip


def is_script() -> bool:
    """Whether the process is a script that was started for what it runs: `python flow.py`, `python -m my.flow`.

    Not a notebook, a prompt, a server, a test run, or any installed program: these are never ended for a run in them.
    """
    return _is_a_users_file() and not (HOSTS & sys.modules.keys())


@cache
def _is_a_users_file() -> bool:
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if file is None or sys.flags.interactive or hasattr(sys, "ps1"):
        return False
    path = os.path.realpath(file)
    if not os.path.isfile(path):  # typed in, or read from a pipe
        return False
    spec = getattr(main, "__spec__", None)
    installed = (sysconfig.get_path("scripts"), sysconfig.get_path("stdlib"))
    if any(path.startswith(os.path.realpath(folder) + os.sep) for folder in installed if folder):
        # `python -m my.flow` of an installed package is a script, `/usr/bin/gunicorn` is not.
        return spec is not None and "site-packages" in path
    return True


def end_at_once(code: int) -> None:
    """Ends this process, and what it has started, without another line of anybody's code."""
    for child in descendants(os.getpid()):
        kill_tree(child, patience=0.5)
    os._exit(code)
