"""PREFECT_* variables, read as ours.

Law: what is set under our own name wins. They are handed on under our names, so that processes that this one starts see
the same.
"""

from __future__ import annotations

import os
import sys

from ..moving import names

ALIAS = "PENSTOCK_PREFECT_ALIAS"
# Of the hosted product, whose server is none of ours.
_CLOUD = "prefect.cloud"
# What Prefect's own programs set for each other.
_THEIRS_ALONE = ("PREFECT_PROFILE", "PREFECT_TEST_", "PREFECT_SERVER_ANALYTICS", "PREFECT_CLOUD_", "PREFECT_DEBUG_MODE")


def take() -> None:
    """Takes the variables over; says which mean nothing here."""
    from ..settings.table import SETTINGS

    follow(version())
    given = {name: value for name, value in os.environ.items() if name.startswith("PREFECT_")}
    hosted = _CLOUD in given.get("PREFECT_API_URL", "")
    unknown = []
    for name, value in given.items():
        ours = names.setting_of(name)
        if hosted and name in ("PREFECT_API_URL", "PREFECT_API_KEY"):
            continue
        if ours in SETTINGS:
            os.environ.setdefault(ours, value)
        elif not name.startswith(_THEIRS_ALONE):
            unknown.append(name)
    if hosted:
        _say("PREFECT_API_URL is Prefect's cloud, and no server of Penstock's: runs are recorded on this machine.")
    if unknown:
        _say(f"{', '.join(sorted(unknown))} {'means' if len(unknown) == 1 else 'mean'} nothing here.")


def follow(rules: str) -> None:
    """The rules of Prefect 2 or 3 count, in this process and those that it starts."""
    os.environ[ALIAS] = rules
    os.environ.setdefault("PENSTOCK_FLOWS_RETURN_STATES", "true")
    if rules == "2":
        os.environ.setdefault("PENSTOCK_FLOWS_FAIL_ON_FAILED_TASKS", "true")


def _say(text: str) -> None:
    print(f"penstock: {text}", file=sys.stderr)


def version() -> str:
    """The version of Prefect whose rules count: "2" or "3"."""
    return os.environ.get(ALIAS, "3")
