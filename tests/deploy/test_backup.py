"""Backup and restore, by the commands of docs/operations.md: what was recorded is there again, and can be used."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock.domain.accounts import ADMIN
from penstock.domain.audit import AuditFilter
from penstock.domain.filters import RunFilter
from penstock.services import accounts, api_keys, audit, block_documents, reading, variables
from penstock.store import flow_runs, logs
from penstock.store.contract import Store
from penstock.store.opening import open_store
from penstock.vault import Vault

from ..postgres import binaries
from ..store.kit import at, flow_run, line

SECRET = "k-83hf-20xk"
RUNS = 300


def filled(store: Store, vault: Vault) -> str:
    """Puts something of each kind into the record; a key that is good in it."""
    runs = [flow_run("Pending", "Running", "Completed", name=f"run-{n}") for n in range(RUNS)]
    with store.write() as tx:
        for run in runs:
            flow_runs.put(tx, run)
        logs.append(tx, [line(run.id, 1, f"hello of {run.name} \u00e9 \U0001f980") for run in runs])
    variables.save(store, "x", {"a": [1, None, "\u00e9"]}, (), overwrite=False, now=at(1))
    block_documents.save(
        store, vault, id=runs[0].id, type="secret", name="s", data={"value": None}, secrets=[(("value",), SECRET)],
        overwrite=False, now=at(1),
    )  # fmt: skip
    accounts.create_user(store, "ann", ADMIN, "correct horse", at(1))
    _, text = api_keys.create_key(store, "ci", owner="ann", role=None, scopes=("read",), expires=None, now=at(1))
    return text


def contents(store: Store, vault: Vault, key: str) -> object:
    """All that `filled` put there, as whoever uses the record finds it."""
    runs = reading.list_flow_runs(store, RunFilter(), RUNS + 1)
    (document,) = block_documents.list_documents(store, None, 10)
    with store.read() as tx:
        lines = sorted(str(row) for row in tx.rows("SELECT run_id, seq, at, level, message FROM log"))
    return (
        runs,
        lines,
        variables.get(store, "x"),
        block_documents.opened(document, vault),
        accounts.get_user(store, "ann"),
        api_keys.asker_of(store, key, at(2)),
        audit.list_entries(store, AuditFilter(), None, 10),
    )


def penstock(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "penstock", *arguments], capture_output=True, text=True, timeout=60,
        env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "secret.key", None)


def test_a_file_is_backed_up_while_it_is_in_use_and_restored(tmp_path: Path, penstock_home: Path, vault: Vault) -> None:
    path, copy = penstock_home / "penstock.db", tmp_path / "backup.db"
    store = open_store(path, spool_folder=tmp_path)
    key = filled(store, vault)
    before = contents(store, vault, key)
    with store.write() as tx:  # somebody is just writing
        flow_runs.put(tx, flow_run(name="not-yet-there"))
        penstock("server", "database", "backup", str(copy))
    store.close()

    for each in penstock_home.glob("penstock.db*"):
        each.unlink() if each.is_file() else None
    path.write_bytes(copy.read_bytes())
    penstock("server", "database", "check")

    restored = open_store(path, spool_folder=tmp_path)
    assert contents(restored, vault, key) == before
    restored.close()


@pytest.mark.postgres
def test_a_postgresql_is_dumped_while_it_is_in_use_and_restored(
    tmp_path: Path, postgres_url: str, postgres_server: object, vault: Vault, tool: Callable[..., None]
) -> None:
    dump = tmp_path / "penstock.dump"
    store = open_store(postgres_url, spool_folder=tmp_path)
    key = filled(store, vault)
    before = contents(store, vault, key)
    with store.write() as tx:
        flow_runs.put(tx, flow_run(name="not-yet-there"))
        tool("pg_dump", "--format=custom", f"--file={dump}", postgres_url)
    store.close()

    with postgres_server.database("template0") as empty:  # type: ignore[attr-defined]
        assert urlsplit(empty).path != urlsplit(postgres_url).path
        tool("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={empty}", str(dump))
        penstock("server", "database", "check", PENSTOCK_DATABASE_URL=empty)
        restored = open_store(empty, spool_folder=tmp_path)
        assert contents(restored, vault, key) == before
        restored.close()


@pytest.fixture
def tool() -> Callable[..., None]:
    """Runs a program of PostgreSQL's own."""
    folder = binaries()
    assert folder is not None

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run([str(folder / program), *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    return run
