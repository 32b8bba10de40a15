"""Deployment files: what they name is there, and what they say is so."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.cli.main import root
from penstock.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def instructions() -> list[tuple[str, str]]:
    """(instruction, the rest) of the Dockerfile, lines that go on joined."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.strip().partition(" ") for line in lines)]


def named_settings() -> set[str]:
    found: set[str] = set()
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            found |= set(re.findall(r"PENSTOCK_[A-Z_]+", path.read_text()))
    return found


def test_every_setting_that_is_named_is_one() -> None:
    assert named_settings() <= set(SETTINGS)
    assert "PENSTOCK_DATABASE_URL" in named_settings()


def test_the_image_is_made_of_files_that_are_there_and_sent_to_the_builder() -> None:
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [shlex.split(rest)[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    sources = [source for each in copied for source in each]
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert any(fnmatchcase(source, pattern) for pattern in sent)


def test_what_the_package_is_built_from_is_in_the_image() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    sources = " ".join(rest for word, rest in instructions() if word == "COPY")
    hooks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["hooks"]
    assert set(hooks) == {"custom"}  # which is hatch_build.py, and builds what is in ui
    for needed in ("pyproject.toml", project["readme"], *project["license-files"], "src", "hatch_build.py", "ui"):
        assert needed in sources
    assert "postgres" in project["optional-dependencies"]


def test_the_image_is_not_run_by_root_and_looks_after_its_health() -> None:
    last_stage = [word for word, _ in instructions()]
    last_stage = last_stage[len(last_stage) - 1 - last_stage[::-1].index("FROM") :]
    assert {"USER", "HEALTHCHECK", "EXPOSE", "VOLUME", "STOPSIGNAL", "CMD"} <= set(last_stage)
    assert dict(instructions())["USER"] != "root"
    assert "/api/health" in dict(instructions())["HEALTHCHECK"]
    assert dict(instructions())["CMD"] == '["penstock", "server", "start"]'


def test_every_command_that_is_named_exists() -> None:
    texts = "\n".join(path.read_text() for path in DEPLOY.rglob("*") if path.is_file())
    commands = re.findall(r"penstock ((?:server|auth|block) [a-z-]+)", texts)
    assert {"server start", "auth create-user", "block key"} <= set(commands)
    for command in commands:
        group, name = command.split()
        found: Any = root.get_command(None, group)  # type: ignore[arg-type]
        assert found.get_command(None, name) is not None


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def test_compose_runs_a_server_with_its_database() -> None:
    services = compose()["services"]
    assert set(services) == {"server", "database"}
    server = services["server"]
    build = server["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    assert server["depends_on"]["database"]["condition"] == "service_healthy"
    assert server["environment"]["PENSTOCK_SERVER_SIGN_IN"] == "true"
    used = {volume.partition(":")[0] for each in services.values() for volume in each["volumes"]}
    assert used == set(compose()["volumes"])


def test_compose_has_no_password_and_listens_on_this_machine_alone() -> None:
    services = compose()["services"]
    assert all(port.startswith("127.0.0.1:") for port in services["server"]["ports"])
    assert "ports" not in services["database"]
    for name, value in services["database"]["environment"].items():
        assert "PASSWORD" not in name or value.startswith("${POSTGRES_PASSWORD:?")


def test_what_compose_asks_for_is_in_the_example_and_empty_there() -> None:
    wanted = set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text()))
    given = dict(
        line.split("=", 1) for line in (DEPLOY / "env.example").read_text().splitlines() if line and line[0] != "#"
    )
    assert set(given) == wanted
    assert set(given.values()) == {""}


def test_the_unit_is_of_a_user_who_can_write_one_folder() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "penstock.service")
    service = unit["Service"]
    assert service["User"] == "penstock"
    assert service["ProtectSystem"] == "strict"
    assert service["Environment"] == f"PENSTOCK_HOME=/var/lib/{service['StateDirectory']}"
    assert service["ExecStart"].endswith("/penstock server start")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is absent")
def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    """With a program that is there in the place of the server's."""
    unit = tmp_path / "penstock.service"
    unit.write_text((DEPLOY / "penstock.service").read_text().replace("/opt/penstock/bin/penstock", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert str(unit.name) not in done.stderr, done.stderr
