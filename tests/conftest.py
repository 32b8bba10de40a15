"""What every test gets: a home of its own, no settings from outside, and no threads of another test.

Tools: `@pytest.mark.chromium` or `@pytest.mark.needs("node", "git")` on a test, or the
`needs` fixture inside one (`needs("node")`), skip where the tool is absent. With PENSTOCK_TEST_REQUIRE_ALL=1 they
fail instead, so that a build machine cannot pass by skipping.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from .containers import docker_engine, engine
from .pgbouncer import pgbouncer, pooled_url
from .postgres import (
    database,
    postgres_server,
    postgres_store,
    postgres_template,
    postgres_url,
    sqlite_store,
    store,
)

# fixtures
__all__ = [
    "database",
    "docker_engine",
    "engine",
    "pgbouncer",
    "pooled_url",
    "postgres_server",
    "postgres_store",
    "postgres_template",
    "postgres_url",
    "sqlite_store",
    "store",
]

# Tests start some thousand processes: each would compile all modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# No example is judged by how long it took: the machine may have other things to do.
hypothesis.settings.register_profile("penstock", deadline=None)
hypothesis.settings.load_profile("penstock")

THREAD_GRACE = 2.0  # seconds a thread that is on its way out may take


# --- tools -----------------------------------------------------------------------------------------------------------


def _chromium_is_here() -> bool:
    named = os.environ.get("PENSTOCK_TEST_CHROMIUM")
    if named:
        return shutil.which(named) is not None
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return any(shutil.which(name) for name in names)


PROBES: dict[str, Callable[[], bool]] = {"chromium": _chromium_is_here}


@functools.cache
def tool_is_here(tool: str) -> bool:
    """A tool without a probe of its own is a program on the PATH."""
    probe = PROBES.get(tool)
    return probe() if probe else shutil.which(tool) is not None


def require(tool: str) -> None:
    """Skip the test if the tool is absent; fail it if everything is required."""
    if tool_is_here(tool):
        return
    if os.environ.get("PENSTOCK_TEST_REQUIRE_ALL") == "1":
        pytest.fail(f"{tool} is absent, and PENSTOCK_TEST_REQUIRE_ALL=1 asks for every tool", pytrace=False)
    pytest.skip(f"{tool} is absent")


def pytest_runtest_setup(item: pytest.Item) -> None:
    tools = [tool for tool in PROBES if item.get_closest_marker(tool)]
    for marker in item.iter_markers("needs"):
        tools.extend(marker.args)
    for tool in tools:
        require(tool)


@pytest.fixture
def needs() -> Callable[[str], None]:
    """For a test that learns only while it runs that it needs a tool."""
    return require


# --- surroundings ----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def penstock_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PENSTOCK_HOME of this test alone; child processes inherit it. No other PENSTOCK_* setting gets in.

    The test run itself has no watchdog beside it; programs that tests start have one (`Programs` sees to that).
    """
    for name in list(os.environ):
        if name.startswith("PENSTOCK_") and not name.startswith("PENSTOCK_TEST_"):
            monkeypatch.delenv(name)
    home = tmp_path / "penstock-home"
    monkeypatch.setenv("PENSTOCK_HOME", str(home))
    monkeypatch.setenv("PENSTOCK_STOP_WATCHDOG", "false")
    return home


@pytest.fixture(autouse=True)
def no_secrets_left() -> Iterator[None]:
    """What a test has masked is not masked in the next one."""
    yield
    masking = sys.modules.get("penstock.engine.masking")
    if masking is not None:
        masking.MASKER.__init__()
        masking._heeded = None


@pytest.fixture
def threads_allowed() -> tuple[str, ...]:
    """Name prefixes of Penstock threads that may outlive a test. Override it in a module or a folder's conftest;
    return ("",) to switch the check off there."""
    return ()


@pytest.fixture(autouse=True)
def no_threads_left(penstock_home: Path, threads_allowed: tuple[str, ...]) -> Iterator[None]:
    """A thread named penstock… that began in this test must have ended with it."""
    before = set(threading.enumerate())

    def left() -> list[str]:
        return [
            thread.name
            for thread in threading.enumerate()
            if thread not in before
            and thread.name.startswith("penstock")
            and not thread.name.startswith(threads_allowed)
        ]

    yield
    deadline = time.monotonic() + THREAD_GRACE
    while left() and time.monotonic() < deadline:
        time.sleep(0.01)
    names = left()
    if names:
        pytest.fail(f"threads left running by this test: {', '.join(sorted(names))}", pytrace=False)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Ids without addresses: workers that run tests side by side must agree on the names of tests."""
    text = f"{val!r}"
    return f"{argname}-{type(val).__name__}" if " at 0x" in text else None


# Whole programs, one after the other: they belong to the whole suite, and not to `make test-fast`.
_SLOW = (
    "tests/acceptance/",
    "tests/api/test_connections.py",
    "tests/api/test_gate.py",
    "tests/api/test_openapi.py",
    "tests/api/test_process.py",
    "tests/api/test_requests.py",
    "tests/api/test_sign_in.py",
    "tests/api/test_streams.py",
    "tests/benchmarks/test_fleet.py",
    "tests/cli/test_deploy.py",
    "tests/cli/test_deployment.py",
    "tests/cli/test_flow_run_cancel.py",
    "tests/cli/test_flow_run_graph.py",
    "tests/cli/test_flow_run_logs.py",
    "tests/client/",
    "tests/docs/",
    "tests/flows/test_cancel_api.py",
    "tests/flows/test_capture_all.py",
    "tests/flows/test_capture_in_notebooks.py",
    "tests/flows/test_capture_in_pytest.py",
    "tests/flows/test_capture_table.py",
    "tests/flows/test_capture_with_packages.py",
    "tests/flows/test_cluster_runners.py",
    "tests/flows/test_clusters_that_misbehave.py",
    "tests/flows/test_concurrency.py",
    "tests/flows/test_console.py",
    "tests/flows/test_deploying.py",
    "tests/flows/test_ends_of_programs.py",
    "tests/flows/test_interrupts.py",
    "tests/flows/test_isolation.py",
    "tests/flows/test_last_lines.py",
    "tests/flows/test_launched.py",
    "tests/flows/test_loggers.py",
    "tests/flows/test_masking.py",
    "tests/flows/test_masking_in_programs.py",
    "tests/flows/test_prints.py",
    "tests/flows/test_process_runner.py",
    "tests/flows/test_regressions_of_stops.py",
    "tests/flows/test_results.py",
    "tests/flows/test_retry_from_failure.py",
    "tests/flows/test_stops.py",
    "tests/flows/test_submit.py",
    "tests/flows/test_timeouts.py",
    "tests/infrastructure/",
    "tests/ledger/test_fork.py",
    "tests/ledger/test_gone_processes.py",
    "tests/ledger/test_remote.py",
    "tests/ledger/test_several_processes.py",
    "tests/packaging/",
    "tests/prefect/",
    "tests/served/",
    "tests/services/test_backfills.py",
    "tests/services/test_interleavings.py",
    "tests/services/test_retention.py",
    "tests/store/test_postgres.py",
    "tests/telemetry/test_docs.py",
    "tests/telemetry/test_programs.py",
    "tests/telemetry/test_propagation.py",
    "tests/testing/test_fixtures.py",
    "tests/typing/",
    "tests/ui/",
    "tests/watchdog/",
    "tests/worker/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what runs whole programs as slow, by its place; and what asks PostgreSQL what it asks SQLite as well."""
    for item in items:
        if item.get_closest_marker("postgres") or any(place in item.path.as_posix() for place in _SLOW):
            item.add_marker(pytest.mark.slow)
