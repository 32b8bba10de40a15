"""The client's methods for concurrency limits, artifacts and events; `asynchronous.py` is made from this file, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..domain.artifacts import Artifact
from ..domain.errors import ObjectNotFound
from ..domain.events import Event, EventFilter
from ..domain.ids import parse_id
from ..protocol import artifacts, concurrency_limits, events
from .asking import Asking, Id

ALL_ARTIFACTS = artifacts.ArtifactFilter()
ALL_EVENTS = EventFilter()


class Things(Asking):
    """Concurrency limits, artifacts, events."""

    # --- concurrency limits ------------------------------------------------------------------------------------------

    def create_global_concurrency_limit(
        self, name: str, limit: int, *, slot_decay_per_second: float = 0.0, active: bool = True
    ) -> concurrency_limits.LimitRead:
        """Creates a limit; `tag:` and a tag limits task runs with that tag. Raises `InvalidName`, `NameTaken` or
        `ConcurrencyError`."""
        query = concurrency_limits.CreateLimit(
            name=name, limit=limit, slot_decay_per_second=slot_decay_per_second, active=active
        )
        return self._ask(concurrency_limits.CREATE_LIMIT, query)

    def read_global_concurrency_limit_by_name(self, name: str) -> concurrency_limits.LimitRead:
        """A limit, with who holds its slots and who waits. Raises `ObjectNotFound`."""
        return self._ask(concurrency_limits.READ_LIMIT, concurrency_limits.ByIdOrName(self._id_or_name(name)))

    def read_global_concurrency_limits(self, *, limit: int = 200) -> list[concurrency_limits.LimitRead]:
        """Limits by name, `limit` at most."""
        return list(self.iter_global_concurrency_limits(limit=limit))

    def iter_global_concurrency_limits(self, *, limit: int | None = None) -> Iterator[concurrency_limits.LimitRead]:
        """All limits by name, read page by page."""
        return self._pages(
            concurrency_limits.FILTER_LIMITS,
            lambda size, cursor: concurrency_limits.FilterLimits(limit=size, cursor=cursor),
            limit,
        )

    def update_global_concurrency_limit(
        self,
        name: str,
        *,
        limit: int | None = None,
        slot_decay_per_second: float | None = None,
        active: bool | None = None,
    ) -> concurrency_limits.LimitRead:
        """Changes what is given. Raises `ObjectNotFound` or `ConcurrencyError`."""
        query = concurrency_limits.UpdateLimit(
            id_or_name=self._id_or_name(name), limit=limit, slot_decay_per_second=slot_decay_per_second, active=active
        )
        return self._ask(concurrency_limits.UPDATE_LIMIT, query)

    def upsert_global_concurrency_limit_by_name(
        self, name: str, limit: int, *, slot_decay_per_second: float | None = None
    ) -> concurrency_limits.LimitRead:
        """Creates a limit, or changes the one that is there."""
        try:
            return self.update_global_concurrency_limit(name, limit=limit, slot_decay_per_second=slot_decay_per_second)
        except ObjectNotFound:
            return self.create_global_concurrency_limit(name, limit, slot_decay_per_second=slot_decay_per_second or 0.0)

    def reset_global_concurrency_limit(self, name: str) -> concurrency_limits.LimitRead:
        """Frees all slots of a limit, whoever holds them. Raises `ObjectNotFound`."""
        return self._ask(concurrency_limits.RESET_LIMIT, concurrency_limits.ByIdOrName(self._id_or_name(name)))

    def delete_global_concurrency_limit_by_name(self, name: str) -> None:
        """Deletes a limit; who waits for it goes on. Raises `ObjectNotFound`."""
        self._ask(concurrency_limits.DELETE_LIMIT, concurrency_limits.ByIdOrName(self._id_or_name(name)))

    def _id_or_name(self, name: str) -> str:
        """What names a limit in a path: its id, where its name has a slash."""
        if "/" not in name:
            return name
        return next((str(each.id) for each in self.iter_global_concurrency_limits() if each.name == name), name)

    # --- artifacts ---------------------------------------------------------------------------------------------------

    def create_artifact(
        self,
        type: str,
        data: Any,
        *,
        key: str | None = None,
        description: str | None = None,
        flow_run_id: Id | None = None,
        task_run_id: Id | None = None,
    ) -> Artifact:
        """Keeps an artifact; inside runs, `penstock.artifacts` does it without waiting. Raises `InvalidName` or
        `UnstorableValue`."""
        query = artifacts.CreateArtifact(
            type=type,
            data=data,
            key=key,
            description=description,
            flow_run_id=None if flow_run_id is None else parse_id(flow_run_id),
            task_run_id=None if task_run_id is None else parse_id(task_run_id),
        )
        return self._ask(artifacts.CREATE_ARTIFACT, query)

    def read_artifact(self, artifact_id: Id) -> Artifact:
        """The artifact of this id. Raises `ObjectNotFound`."""
        return self._ask(artifacts.READ_ARTIFACT, artifacts.ArtifactById(parse_id(artifact_id)))

    def read_latest_artifact(self, key: str) -> Artifact:
        """The latest artifact of this key. Raises `ObjectNotFound`."""
        return self._ask(artifacts.READ_LATEST_ARTIFACT, artifacts.ArtifactByKey(key))

    def read_artifacts(self, filter: artifacts.ArtifactFilter = ALL_ARTIFACTS, *, limit: int = 200) -> list[Artifact]:
        """The newest artifacts that fit, `limit` at most."""
        return list(self.iter_artifacts(filter, limit=limit))

    def read_latest_artifacts(
        self, filter: artifacts.ArtifactFilter = ALL_ARTIFACTS, *, limit: int = 200
    ) -> list[Artifact]:
        """As `read_artifacts`, of each key only the latest."""
        return list(self.iter_artifacts(filter, limit=limit, latest=True))

    def iter_artifacts(
        self, filter: artifacts.ArtifactFilter = ALL_ARTIFACTS, *, limit: int | None = None, latest: bool = False
    ) -> Iterator[Artifact]:
        """All artifacts that fit, the newest first, read page by page; with `latest`, of each key only the latest."""
        return self._pages(
            artifacts.FILTER_LATEST_ARTIFACTS if latest else artifacts.FILTER_ARTIFACTS,
            lambda size, cursor: artifacts.FilterArtifacts(filter=filter, limit=size, cursor=cursor),
            limit,
        )

    def update_artifact(self, artifact_id: Id, data: Any = None, *, description: str | None = None) -> Artifact:
        """Changes what is given. Raises `ObjectNotFound` or `UnstorableValue`."""
        query = artifacts.UpdateArtifact(id=parse_id(artifact_id), data=data, description=description)
        return self._ask(artifacts.UPDATE_ARTIFACT, query)

    def delete_artifact(self, artifact_id: Id) -> None:
        """Deletes an artifact. Raises `ObjectNotFound`."""
        self._ask(artifacts.DELETE_ARTIFACT, artifacts.ArtifactById(parse_id(artifact_id)))

    # --- events ------------------------------------------------------------------------------------------------------

    def read_events(self, filter: EventFilter = ALL_EVENTS, *, limit: int = 200) -> list[Event]:
        """The latest events that fit, `limit` at most."""
        return list(self.iter_events(filter, limit=limit))

    def iter_events(self, filter: EventFilter = ALL_EVENTS, *, limit: int | None = None) -> Iterator[Event]:
        """All events that fit, the latest first, read page by page."""
        return self._pages(
            events.FILTER_EVENTS,
            lambda size, cursor: events.FilterEvents(filter=filter, limit=size, cursor=cursor),
            limit,
        )

    def count_events(self, filter: EventFilter = ALL_EVENTS) -> int:
        """How many events fit."""
        return self._ask(events.COUNT_EVENTS, events.CountEvents(filter=filter)).count
