"""Artifacts: versions by key, changes in any order, filters and pages. On each database."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from penstock.domain.artifacts import MOST_BYTES, Artifact, ArtifactChange
from penstock.engine.clock import SYSTEM
from penstock.exceptions import InvalidName, ObjectNotFound, UnstorableValue
from penstock.protocol import artifacts as asked
from penstock.protocol.operation import Operation
from penstock.services import answers, ingest
from penstock.services.desk import Desk
from penstock.store.contract import Store
from penstock.vault import Vault

from ..store.kit import at

assert answers


class Office:
    def __init__(self, store: Store, vault: Vault) -> None:
        self.second = 0.0
        self.desk = Desk(store, vault, self.now, lambda holder: True, "somebody")

    def now(self) -> datetime:
        self.second += 1
        return at(self.second)

    def ask(self, operation: Operation[Any, Any], argument: Any) -> Any:
        return self.desk.answer(operation, argument)

    def create(self, data: Any = "x", type: str = "markdown", **fields: Any) -> Artifact:
        made: Artifact = self.ask(asked.CREATE_ARTIFACT, asked.CreateArtifact(type=type, data=data, **fields))
        return made

    def list(self, latest: bool = False, **fields: Any) -> list[UUID]:
        """In pages of two."""
        operation = asked.FILTER_LATEST_ARTIFACTS if latest else asked.FILTER_ARTIFACTS
        found: list[UUID] = []
        cursor = None
        while True:
            query = asked.FilterArtifacts(filter=asked.ArtifactFilter(**fields), limit=2, cursor=cursor)
            page = self.ask(operation, query)
            found += [each.id for each in page.items]
            cursor = page.next
            if cursor is None:
                counted = self.ask(asked.COUNT_ARTIFACTS, asked.CountArtifacts(filter=query.filter, latest=latest))
                assert counted.count == len(found)
                return found

    def read(self, id: UUID) -> Artifact:
        found: Artifact = self.ask(asked.READ_ARTIFACT, asked.ArtifactById(id))
        return found


@pytest.fixture
def office(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(store, Vault(tmp_path_factory.mktemp("vault") / "secret.key", None))


def test_an_artifact_is_read_as_it_was_made(office: Office) -> None:
    run, task = SYSTEM.new_id(), SYSTEM.new_id()
    made = office.create(
        {"a": [1, None, "ü"]},
        "table",
        key="k",
        description="d",
        metadata={"by": "me"},
        flow_run_id=run,
        task_run_id=task,
    )
    assert office.read(made.id) == made
    assert (made.data, made.metadata, made.flow_run_id) == ({"a": [1, None, "ü"]}, {"by": "me"}, run)


def test_of_a_key_the_latest_version_is_shown_first(office: Office) -> None:
    first, other, second, without = (
        office.create("1", key="k"), office.create("2", key="other"), office.create("3", key="k"), office.create("4")
    )  # fmt: skip
    assert office.list() == [without.id, second.id, other.id, first.id]
    assert office.list(latest=True) == [without.id, second.id, other.id]
    assert office.list(keys=("k",)) == [second.id, first.id]
    assert office.ask(asked.READ_LATEST_ARTIFACT, asked.ArtifactByKey("k")).id == second.id
    office.ask(asked.DELETE_ARTIFACT, asked.ArtifactById(second.id))
    assert office.ask(asked.READ_LATEST_ARTIFACT, asked.ArtifactByKey("k")).id == first.id


def test_artifacts_are_found_by_type_run_and_time(office: Office) -> None:
    run = SYSTEM.new_id()
    a = office.create(key="a", flow_run_id=run)
    b = office.create(5, "progress", task_run_id=run)
    assert office.list(types=("progress", "table")) == [b.id]
    assert office.list(flow_run_id=run) == [a.id]
    assert office.list(task_run_id=run) == [b.id]
    assert office.list(after=b.created) == [b.id]
    assert office.list(before=b.created) == [a.id]


def test_a_change_keeps_what_is_not_given(office: Office) -> None:
    made = office.create(5, "progress", description="loading")
    changed = office.ask(asked.UPDATE_ARTIFACT, asked.UpdateArtifact(id=made.id, data=50))
    assert (changed.data, changed.description) == (50.0, "loading")
    assert office.read(made.id) == changed
    with pytest.raises(UnstorableValue, match="from 0 to 100"):
        office.ask(asked.UPDATE_ARTIFACT, asked.UpdateArtifact(id=made.id, data="half"))


def test_reports_that_come_twice_late_or_broken_change_nothing(office: Office) -> None:
    made = office.create(5, "progress")
    artifact = Artifact(id=SYSTEM.new_id(), type="progress", data=1.0, created=at(1), updated=at(1))
    change = ArtifactChange(id=artifact.id, data=70.0, updated=at(3))
    late = ArtifactChange(id=artifact.id, data=30.0, updated=at(2))
    broken = ArtifactChange(id=made.id, data="x", updated=at(90))
    huge = Artifact(id=SYSTEM.new_id(), type="markdown", data="x" * MOST_BYTES, created=at(1), updated=at(1))
    with office.desk.store.write() as tx:
        ingest.apply(tx, [artifact, change, late, artifact, broken, huge])
    assert office.read(artifact.id).data == 70.0
    assert office.read(made.id).data == 5.0
    assert office.list() == [artifact.id, made.id] or office.list() == [made.id, artifact.id]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"data": "x" * MOST_BYTES}, "500,002 bytes as JSON; 500,000 is the most"),
        ({"data": 5}, "is text; this is int"),
        ({"type": "table", "data": "x"}, "A table is a dict of columns"),
        ({"type": "progress", "data": 101}, "from 0 to 100"),
        ({"type": "other", "data": [[[]]] * 5, "description": "x" * 10_001}, "10,000 is the most"),
    ],
)
def test_what_cannot_be_kept_is_told(office: Office, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UnstorableValue, match=said):
        office.create(**fields)


def test_a_key_that_cannot_be_one_is_told_with_one_that_could(office: Office) -> None:
    with pytest.raises(InvalidName, match=r"cannot be the name of an artifact.*'my-report' would do"):
        office.create(key="My Report")
    office.create(key="my-report")
    with pytest.raises(ObjectNotFound, match="Did you mean 'my-report'"):
        office.ask(asked.READ_LATEST_ARTIFACT, asked.ArtifactByKey("my-reprt"))
