"""`penstock migrate`: shows first, writes when told to, lists what is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from penstock.cli.main import root

BEFORE = "from prefect import flow\nfrom prefect.filesystems import S3\n"
AFTER = "from penstock import flow\nfrom prefect.filesystems import S3\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "flows").mkdir(parents=True)
    (folder / ".venv").mkdir()
    for path in (folder / "flows" / "etl.py", folder / ".venv" / "theirs.py"):
        path.write_text(BEFORE)
    (folder / "other.py").write_text("import os\n")
    (folder / "latin.py").write_bytes(b"# prefect \xe9\n")
    (folder / "broken.py").write_text("from prefect import (\n")
    (folder / "prefect.yaml").write_text("deployments: []\n")
    (folder / "requirements.txt").write_text("boto3\nprefect>=2.7\n")
    return folder


def migrate(*arguments: object, answer: str | None = None) -> Result:
    return CliRunner().invoke(root, ["migrate", *map(str, arguments)], input=answer)


def test_changes_are_shown_and_not_written_unasked(project: Path) -> None:
    result = migrate("--from-prefect", project)

    assert result.exit_code == 0
    assert "--- a/flows/etl.py\n+++ b/flows/etl.py\n" in result.stdout
    assert "-from prefect import flow\n+from penstock import flow\n" in result.stdout
    assert "Nothing was written. --yes writes the changes to 1 file." in result.stderr
    assert (project / "flows" / "etl.py").read_text() == BEFORE


def test_what_is_left_for_a_person_is_listed_with_its_place(project: Path) -> None:
    said = migrate("--from-prefect", project).stderr

    assert "For a person (4):" in said
    assert "  flows/etl.py:2: prefect.filesystems.S3 is not offered" in said
    assert "  broken.py:1: It is no Python that can be read" in said or "  broken.py:2: It is no Python" in said
    assert "  prefect.yaml:1: penstock.yaml has the same form" in said
    assert "  requirements.txt:2: It names Prefect: prefect>=2.7" in said


def test_yes_writes_what_is_the_users_own(project: Path) -> None:
    result = migrate("--from-prefect", project, "--yes")

    assert "Wrote 1 file." in result.stderr
    assert (project / "flows" / "etl.py").read_text() == AFTER
    assert (project / ".venv" / "theirs.py").read_text() == BEFORE
    assert "Nothing is to be changed." in migrate("--from-prefect", project, "--yes").stderr


def test_check_writes_nothing_and_fails_while_there_is_something(project: Path) -> None:
    assert migrate("--from-prefect", project, "--check").exit_code == 1
    assert (project / "flows" / "etl.py").read_text() == BEFORE
    migrate("--from-prefect", project / "flows" / "etl.py", "--yes")
    assert migrate("--from-prefect", project, "--check").exit_code == 0


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = migrate("--from-prefect", tmp_path / "nosuch")

    assert result.exit_code == 2
    assert "does not exist" in result.output
