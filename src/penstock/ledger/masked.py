"""The last thing that happens to facts and questions on their way to the record: what is secret in them is masked.

Law: every fact and question passes here, so no path to the record can forget it. They are copied where something is to
be masked, for they are also the engine's own. What names code (tasks, flows, their files and functions) is left as it
is; lines were masked when they were said, and bytes of values were encrypted when they were kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from ..domain.artifacts import Artifact, ArtifactChange
from ..domain.caching import CacheEntry
from ..domain.events import Event
from ..domain.masking import Masker
from ..domain.runs import Entrypoint, FlowRun, TaskRun
from ..domain.states import NAMES, State
from ..domain.stops import Stilled, Stop
from .contract import Begin, Enter, FindCached, Reopen

T = TypeVar("T")
Run = TypeVar("Run", TaskRun, FlowRun)
_replace = msgspec.structs.replace


def all_masked(masker: Masker, items: Sequence[T]) -> Sequence[T]:
    """Facts or questions without secrets; the very same sequence while none is known."""
    if not masker.active:
        return items
    # A run is reported several times, and it is one object: as it is now it says all that its reports do.
    made: dict[int, T] = {}
    for item in items:
        if id(item) not in made:
            made[id(item)] = masked(masker, item)
    return [made[id(item)] for item in items]


def masked(masker: Masker, item: Any) -> Any:
    """A fact, a question, a run or a stop without secrets; the very same where there is none in it."""
    mask = _MASKS.get(type(item))
    return item if mask is None or not masker.active else mask(masker, item)


def masked_key(masker: Masker, key: str) -> str:
    """A key that holds a secret is replaced by what is always the same for it, and does not tell it."""
    if masker.text(key) is key:
        return key
    return f"masked-{hashlib.blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def _run(masker: Masker, run: Run) -> Run:
    if not masker.any_in(_texts(run)):  # as nearly always
        return run
    changed: dict[str, Any] = {}
    text = masker.text
    for field in ("name", "tags", "parameters", "labels"):
        before = getattr(run, field)
        after = _value(masker, before)
        if after is not before:
            changed[field] = after
    before = run.states
    states = tuple(_state(masker, state) for state in before)
    if any(new is not old for new, old in zip(states, before, strict=True)):
        changed["states"] = states
    if isinstance(run, TaskRun):
        if run.cache_key is not None and text(run.cache_key) is not run.cache_key:
            changed["cache_key"] = masked_key(masker, run.cache_key)
    elif run.entrypoint is not None and (entry := _entrypoint(masker, run.entrypoint)) is not run.entrypoint:
        changed["entrypoint"] = entry
    return _replace(run, **changed) if changed else run


def _texts(run: TaskRun | FlowRun) -> list[str]:
    texts = [run.name, *run.tags, *run.parameters, *run.parameters.values(), *run.labels, *run.labels.values()]
    for state in run.states:
        if state.message is not None:
            texts.append(state.message)
        if state.details is not None:
            texts.append(repr(state.details))
        if state.name not in NAMES:
            texts.append(state.name)
    if isinstance(run, TaskRun):
        if run.cache_key is not None:
            texts.append(run.cache_key)
    elif run.entrypoint is not None:
        texts += run.entrypoint.argv
    return texts


def _state(masker: Masker, state: State[Any]) -> State[Any]:
    message = None if state.message is None else masker.text(state.message)
    details = None if state.details is None else _value(masker, state.details)
    name = state.name if state.name in NAMES else masker.text(state.name)
    if message is state.message and details is state.details and name is state.name:
        return state
    return _replace(state, name=name, message=message, details=details)


def _value(masker: Masker, value: Any) -> Any:
    """Plain values with the texts in them masked; the very same where nothing was."""
    if isinstance(value, str):
        return masker.text(value)
    if isinstance(value, dict):
        after = {masker.text(key) if isinstance(key, str) else key: _value(masker, each) for key, each in value.items()}
        same = after.keys() == value.keys() and all(after[key] is each for key, each in value.items())
        return value if same else after
    if isinstance(value, list | tuple):
        items = [_value(masker, each) for each in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return tuple(items) if isinstance(value, tuple) else items
    return value


def _entrypoint(masker: Masker, entry: Entrypoint) -> Entrypoint:
    argv = _value(masker, entry.argv)
    return entry if argv is entry.argv else _replace(entry, argv=argv)


def _begin(masker: Masker, question: Begin) -> Begin:
    return _replace(question, run=_run(masker, question.run), running=_state(masker, question.running))


def _enter(masker: Masker, question: Enter) -> Enter:
    return _replace(
        question,
        state=_state(masker, question.state),
        name=_value(masker, question.name),
        parameters=_value(masker, question.parameters),
    )


def _reopen(masker: Masker, question: Reopen) -> Reopen:
    entry = question.entrypoint
    return question if entry is None else _replace(question, entrypoint=_entrypoint(masker, entry))


def _keyed(masker: Masker, item: Any) -> Any:
    return _replace(item, key=masked_key(masker, item.key))


def _stilled(masker: Masker, fact: Stilled) -> Stilled:
    return _replace(fact, where=_value(masker, fact.where), stack=_value(masker, fact.stack))


def _artifact(masker: Masker, artifact: Artifact) -> Artifact:
    key = artifact.key if artifact.key is None or masker.text(artifact.key) is artifact.key else None
    return _replace(
        artifact,
        key=key,
        data=_value(masker, artifact.data),
        description=_value(masker, artifact.description),
        metadata=_value(masker, artifact.metadata),
    )


def _changed(masker: Masker, change: ArtifactChange) -> ArtifactChange:
    return _replace(change, data=_value(masker, change.data), description=_value(masker, change.description))


def _event(masker: Masker, event: Event) -> Event:
    return _replace(
        event,
        event=masker.text(event.event),
        resource=_value(masker, event.resource),
        related=_value(masker, event.related),
        payload=_value(masker, event.payload),
    )


def _stop(masker: Masker, stop: Stop) -> Stop:
    return _replace(stop, message=masker.text(stop.message), who=_value(masker, stop.who))


_MASKS: dict[type, Any] = {
    TaskRun: _run,
    FlowRun: _run,
    CacheEntry: _keyed,
    Stilled: _stilled,
    Stop: _stop,
    Begin: _begin,
    Enter: _enter,
    Reopen: _reopen,
    FindCached: _keyed,
    Artifact: _artifact,
    ArtifactChange: _changed,
    Event: _event,
}
