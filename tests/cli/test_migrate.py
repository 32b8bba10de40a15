"""`penstock migrate`: shows first, writes when told to, lists what is left."""

from __future__ import annotations

import os
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


def test_a_file_keeps_its_encoding_and_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "old.py"
    path.write_bytes(b"# coding: latin-1\nfrom prefect import flow  # \xe9t\xe9\n")
    path.chmod(0o755)
    migrate("--from-prefect", path, "--yes")

    assert path.read_bytes() == b"# coding: latin-1\nfrom penstock import flow  # \xe9t\xe9\n"
    assert path.stat().st_mode & 0o777 == 0o755


def test_what_cannot_be_written_stays_whole_and_the_rest_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("one.py", "two.py"):
        (folder / name).write_text(BEFORE)
    replace = os.replace

    def full(source: str, target: Path) -> None:
        if Path(target).name == "one.py":
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    result = migrate("--from-prefect", folder, "--yes")

    assert result.exit_code == 1
    assert "one.py could not be written, and is as it was: [Errno 28]" in result.stderr
    assert "Wrote 1 of 2 files." in result.stderr
    assert (folder / "one.py").read_text() == BEFORE
    assert (folder / "two.py").read_text() == AFTER
    assert sorted(each.name for each in folder.iterdir()) == ["one.py", "two.py"]


def test_links_are_not_followed_out_of_the_code_base(tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text(BEFORE)
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "link.py").symlink_to(outside)
    migrate("--from-prefect", folder, "--yes")

    assert outside.read_text() == BEFORE


def test_code_that_is_nested_too_deeply_is_listed(tmp_path: Path) -> None:
    (tmp_path / "deep.py").write_text("from prefect import flow\nx = " + "-" * 30_000 + "1\n")
    result = migrate("--from-prefect", tmp_path)

    assert result.exit_code == 0
    assert "deep.py:1: It is nested too deeply to be read" in result.stderr
