"""The projects of the examples that want a server, a worker or an engine: a container's job, and a team's server."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.containers import IMAGE, SOURCE, Engine
from tests.served.kit import ServerProcess, serving

from penstock.settings import SETTINGS

from .test_projects import PROJECTS, Penstock, Run, Start, start

__all__ = ["start"]  # a fixture

# --- docker_job ------------------------------------------------------------------------------------------------------

DOCKER = PROJECTS / "docker_job"


def test_the_flow_of_the_image_runs_without_a_container_too(run: Run, penstock: Penstock) -> None:
    ended = run(DOCKER / "prices.py")

    assert ended.code == 0, ended.err
    wanted = ["sugar: 1.20 to 0.90 (-25%)", "coffee: 9.90 to 12.40 (+25%)", "tea: 4.20 to 4.60 (+10%)"]
    assert all(line in ended.err for line in wanted)
    assert [row["product"] for row in penstock("artifact", "inspect", "price-changes")["data"]] == [
        "coffee", "sugar", "tea",
    ]  # fmt: skip


def test_the_image_has_what_the_deployment_names() -> None:
    text = re.sub(r"\\\n", " ", (DOCKER / "Dockerfile").read_text())
    lines = [line.partition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    given = [(word, rest.strip()) for word, _, rest in lines]
    copied = [source for word, rest in given if word == "COPY" for source in shlex.split(rest)[:-1]]
    deployed = (DOCKER / "penstock.yaml").read_text()

    assert given[0][0] == "FROM"
    assert {word for word, _ in given} <= {"FROM", "RUN", "COPY", "WORKDIR", "USER", "ENV", "CMD"}
    assert dict(given)["USER"] != "root"
    assert "wheels" in copied  # which the README has made
    assert all((DOCKER / source).exists() for source in copied if source != "wheels")
    assert json.loads(dict(given)["CMD"]) == ["python", "prices.py"]
    assert f"directory: {dict(given)['WORKDIR']}" in deployed
    assert "image: prices:1" in deployed
    assert "docker build -t prices:1 " in (DOCKER / "README.md").read_text()


def test_the_project_file_of_the_docker_job_is_deployed_as_it_is_written(run: Run, penstock: Penstock) -> None:
    assert run("-m", "penstock", "work-pool", "create", "containers", "--type", "docker").code == 0

    done = run("-m", "penstock", "deploy", "--all", "--yes", "--file", DOCKER / "penstock.yaml")

    assert done.code == 0, done.err
    found = penstock("deployment", "inspect", "price-changes/in-docker")
    assert found["job_variables"]["image"] == "prices:1"
    assert found["entrypoint"] == "prices.py:price_changes"


def test_the_docker_job_runs_in_a_container(
    engine: Engine, start: Start, run: Run, penstock: Penstock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the tests' own image, in which this Python and the project's folder are mounted: no registry is asked."""
    variables = {
        "image": IMAGE, "network_mode": engine.network_mode, "image_pull_policy": "Never",
        "volumes": [*engine.volumes, f"{DOCKER}:/app:ro"],
        "command": f"{sys.executable} -m penstock flow-run execute",
        "env": {"PYTHONPATH": str(SOURCE), "PENSTOCK_HOME": "/tmp/penstock"},
    }  # fmt: skip
    given = [word for name, value in variables.items() for word in ("-jv", f"{name}={json.dumps(value)}")]
    with serving(tmp_path / "server") as server:
        monkeypatch.setenv("PENSTOCK_API_URL", server.url)
        assert run("-m", "penstock", "work-pool", "create", "containers", "--type", "docker").code == 0
        done = run("-m", "penstock", "deploy", "--all", "--yes", "--file", DOCKER / "penstock.yaml")
        assert done.code == 0, done.err
        worker = start("-m", "penstock", "worker", "start", "--pool", "containers")

        ended = run(
            "-m", "penstock", "deployment", "run", "price-changes/in-docker", "-p", "least=0.2", *given, "--watch"
        )

        assert ended.code == 0, ended.out + worker.said
        assert len(penstock("artifact", "inspect", "price-changes")["data"]) == 2
        worker.end(signal.SIGTERM)


# --- team_server -----------------------------------------------------------------------------------------------------

TEAM = PROJECTS / "team_server"


class Team:
    """Whoever gives commands at the server of the team; each of them has a home, and so a profile, of their own."""

    def __init__(self, run: Run, tmp_path: Path, **environment: str) -> None:
        self.home = str(tmp_path)
        self._run, self._environment = run, {"PENSTOCK_HOME": self.home, **environment}

    def __call__(self, *command: str | Path, stdin: str | None = None, **environment: str) -> str:
        ended = self._run("-m", "penstock", *command, stdin=stdin, **self._environment, **environment)
        assert ended.code == 0, ended
        return ended.out


def status_of(url: str) -> int:
    asked = urllib.request.Request(f"{url}/flow_runs/filter", b"{}", {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(asked) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.postgres
def test_a_team_has_a_server_a_worker_and_a_deployment(
    postgres_url: str, run: Run, start: Start, tmp_path: Path
) -> None:
    machine = {"PENSTOCK_DATABASE_URL": postgres_url, "PENSTOCK_SERVER_SIGN_IN": "true"}
    stock = tmp_path / "srv" / "stock"  # where the worker's machine has the code
    shutil.copytree(TEAM, stock, ignore=shutil.ignore_patterns("__pycache__"))
    admin = Team(run, tmp_path / "server", **machine)
    key = admin("block", "key").split()[-1]
    admin("auth", "create-user", "ann", "--role", "admin", stdin="correct-horse\n")
    server = ServerProcess(
        tmp_path / "server", database=postgres_url, PENSTOCK_SERVER_SIGN_IN="true", PENSTOCK_ENCRYPTION_KEY=key
    )
    try:
        server.start()
        assert status_of(server.url) == 401

        ann = Team(run, tmp_path / "ann")
        ann("config", "set", f"PENSTOCK_API_URL={server.url}")
        ann("auth", "login", "ann", stdin="correct-horse\n")
        ann("auth", "create-user", "shop-worker", "--role", "operator", "--no-password")
        made = ann("auth", "create-key", "shop-worker-1", "--user", "shop-worker")
        (worker_key,) = re.findall(r"pnsk_[\w-]+", made)
        ann("work-pool", "create", "shop", "--type", "process")
        ann("block", "create", "secret", "supplier-token", stdin="t0ken-of-the-supplier\n")
        ann("variable", "set", "least_pieces", "10")

        worker = start(
            "-m", "penstock", "worker", "start", "--pool", "shop", PENSTOCK_HOME=str(tmp_path / "worker"),
            PENSTOCK_API_URL=server.url, PENSTOCK_API_KEY=worker_key,
        )  # fmt: skip
        ann("deploy", "--all", "--yes", "--file", TEAM / "penstock.yaml", STOCK_FOLDER=str(stock))
        watched = run("-m", "penstock", "deployment", "run", "reorder/nightly", "--watch", PENSTOCK_HOME=ann.home)

        assert watched.code == 0, watched.out + worker.said
        (found,) = json.loads(ann("flow-run", "ls", "--output", "json"))
        assert (found["flow_name"], found["state_name"]) == ("reorder", "Completed")
        table = json.loads(ann("artifact", "inspect", "orders", "--output", "json"))["data"]
        assert table == [{"product": "tea", "pieces": 7}, {"product": "sugar", "pieces": 10}]
        logs = ann("flow-run", "logs", found["id"])
        assert "signing in with ********" in logs
        assert "t0ken-of-the-supplier" not in logs + worker.end(signal.SIGTERM)
        audit = json.loads(ann("auth", "audit", "--output", "json"))
        asked = [each["who"] for each in audit if each["operation"] == "create_flow_run_from_deployment"]
        assert [who.partition(" by key")[0] for who in asked] == ["user ann"]
    finally:
        server.close()


def test_every_setting_of_the_server_is_one_and_no_secret_is_in_the_file() -> None:
    lines = [line for line in (TEAM / "server.env").read_text().splitlines() if line and not line.startswith("#")]
    given = dict(line.split("=", 1) for line in lines)

    assert given.keys() <= set(SETTINGS)
    assert (given["PENSTOCK_DATABASE_URL"], given["PENSTOCK_ENCRYPTION_KEY"]) == ("", "")
