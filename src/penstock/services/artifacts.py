"""Artifacts: keeping, changing, finding and deleting them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from uuid import UUID

import msgspec

from ..domain import artifacts as rules
from ..domain import names as spelling
from ..domain.artifacts import Artifact, ArtifactChange
from ..domain.errors import InvalidName, ObjectNotFound, UnstorableValue
from ..store import artifacts as kept
from ..store.artifacts import Condition
from ..store.contract import Store, Tx


def create(store: Store, artifact: Artifact) -> Artifact:
    """Raises `InvalidName`, `UnstorableValue`."""
    made = rules.checked(artifact)
    with store.write() as tx:
        kept.put(tx, made)
    return made


def change(store: Store, wanted: ArtifactChange) -> Artifact:
    """Raises `ObjectNotFound`, `UnstorableValue`."""
    with store.write() as tx:
        made = _change(tx, wanted)
    if made is None:
        raise ObjectNotFound(f"Artifact '{wanted.id}' not found!")
    return made


def _change(tx: Tx, wanted: ArtifactChange) -> Artifact | None:
    """The artifact as it is then, by the rules of what it is: progress stays a number. What was said later stands."""
    found = kept.get(tx, wanted.id)
    if found is None or found.updated > wanted.updated:
        return found
    made = rules.checked(
        msgspec.structs.replace(
            found,
            data=found.data if wanted.data is None else wanted.data,
            description=found.description if wanted.description is None else wanted.description,
            updated=wanted.updated,
        )
    )
    kept.put(tx, made)
    return made


def report(tx: Tx, facts: Iterable[Artifact | ArtifactChange]) -> None:
    """What runs reported, in its order. Said twice, it changes nothing; what breaks the rules was not said by an
    engine, and is not kept."""
    for fact in facts:
        with contextlib.suppress(InvalidName, UnstorableValue):
            if isinstance(fact, Artifact):
                kept.put(tx, rules.checked(fact))
            else:
                _change(tx, fact)


def get(store: Store, id: UUID) -> Artifact:
    """Raises `ObjectNotFound`."""
    with store.read() as tx:
        found = kept.get(tx, id)
    if found is None:
        raise ObjectNotFound(f"Artifact '{id}' not found!")
    return found


def latest(store: Store, key: str) -> Artifact:
    """The newest of this key. Raises `ObjectNotFound`, with keys that are near."""
    with store.read() as tx:
        found = kept.latest(tx, key)
        if found is None:
            near = spelling.suggestion(key, kept.keys(tx))
            raise ObjectNotFound(f"Artifact {spelling.shown(key)} not found!{near}")
    return found


def list_artifacts(store: Store, where: Condition, limit: int) -> list[Artifact]:
    """The newest first."""
    with store.read() as tx:
        return list(kept.select(tx, where, limit))


def count(store: Store, where: Condition) -> int:
    with store.read() as tx:
        return kept.count(tx, where)


def delete(store: Store, id: UUID) -> None:
    """Raises `ObjectNotFound`."""
    with store.write() as tx:
        if not kept.delete(tx, id):
            raise ObjectNotFound(f"Artifact '{id}' not found!")
