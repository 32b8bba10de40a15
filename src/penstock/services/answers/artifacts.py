"""Answers about artifacts."""

from __future__ import annotations

import secrets
from uuid import UUID

from ...domain.artifacts import Artifact, ArtifactChange
from ...domain.ids import uuid7
from ...protocol import artifacts as asked
from ...protocol import paging
from ...protocol.operation import Count, Page
from ...store import artifacts as kept
from .. import artifacts
from ..desk import Desk, answers


@answers(asked.CREATE_ARTIFACT)
def create_artifact(desk: Desk, wanted: asked.CreateArtifact) -> Artifact:
    now = desk.now()
    made = Artifact(
        id=uuid7(round(now.timestamp() * 1e9), secrets.randbits(62)),
        type=wanted.type,
        data=wanted.data,
        key=wanted.key,
        description=wanted.description,
        metadata=wanted.metadata,
        flow_run_id=wanted.flow_run_id,
        task_run_id=wanted.task_run_id,
        created=now,
        updated=now,
    )
    return artifacts.create(desk.store, made)


@answers(asked.FILTER_ARTIFACTS)
def filter_artifacts(desk: Desk, query: asked.FilterArtifacts) -> Page[Artifact]:
    return _page(desk, query, latest=False)


@answers(asked.FILTER_LATEST_ARTIFACTS)
def filter_latest_artifacts(desk: Desk, query: asked.FilterArtifacts) -> Page[Artifact]:
    return _page(desk, query, latest=True)


@answers(asked.COUNT_ARTIFACTS)
def count_artifacts(desk: Desk, query: asked.CountArtifacts) -> Count:
    return Count(artifacts.count(desk.store, _condition(query.filter, query.latest)))


@answers(asked.READ_ARTIFACT)
def read_artifact(desk: Desk, query: asked.ArtifactById) -> Artifact:
    return artifacts.get(desk.store, query.id)


@answers(asked.READ_LATEST_ARTIFACT)
def read_latest_artifact(desk: Desk, query: asked.ArtifactByKey) -> Artifact:
    return artifacts.latest(desk.store, query.key)


@answers(asked.UPDATE_ARTIFACT)
def update_artifact(desk: Desk, wanted: asked.UpdateArtifact) -> Artifact:
    change = ArtifactChange(id=wanted.id, data=wanted.data, description=wanted.description, updated=desk.now())
    return artifacts.change(desk.store, change)


@answers(asked.DELETE_ARTIFACT)
def delete_artifact(desk: Desk, query: asked.ArtifactById) -> None:
    artifacts.delete(desk.store, query.id)


def _page(desk: Desk, query: asked.FilterArtifacts, latest: bool) -> Page[Artifact]:
    where = _condition(query.filter, latest, paging.id_in(query.cursor))
    found = artifacts.list_artifacts(desk.store, where, query.limit)
    return Page(items=found, next=paging.after(found[-1].id) if len(found) == query.limit else None)


def _condition(filter: asked.ArtifactFilter, latest: bool, behind: UUID | None = None) -> kept.Condition:
    return kept.fitting(
        keys=filter.keys,
        types=filter.types,
        flow_run_id=filter.flow_run_id,
        task_run_id=filter.task_run_id,
        after=filter.after,
        before=filter.before,
        latest=latest,
        behind=behind,
    )
