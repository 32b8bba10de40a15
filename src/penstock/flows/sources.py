"""`Flow.from_source`: a flow whose code is elsewhere, in a folder or a repository."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.errors import DeploymentError
from . import programs, steps

if TYPE_CHECKING:
    from .flow import Flow


class Source(NamedTuple):
    """Where a flow's code comes from: the steps that bring it, or the folder that it is in."""

    entrypoint: str
    folder: str | None
    steps: tuple[dict[str, Any], ...]


def from_source(source: Any, entrypoint: str) -> Flow[..., Any]:
    """See `Flow.from_source`."""
    text = str(source)
    if "://" in text or text.startswith("git@"):
        return _from_repository(text, entrypoint)
    folder = Path(text).expanduser().absolute()
    if not folder.is_dir():
        raise DeploymentError(f"from_source: {text} is no folder, and no address of a repository.")
    return _found(folder, entrypoint, Source(entrypoint, str(folder), ()))


def _from_repository(repository: str, entrypoint: str) -> Flow[..., Any]:
    step = {"penstock.deployments.steps.git_clone": {"repository": repository}}
    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="penstock-source-") as folder:
        try:
            os.chdir(folder)
            code = steps.run([step])
            return _found(Path(code or folder), entrypoint, Source(entrypoint, None, (step,)))
        finally:
            os.chdir(before)


def _found(folder: Path, entrypoint: str, source: Source) -> Flow[..., Any]:
    made: Flow[..., Any] = programs.flow_at(folder, entrypoint).with_options()
    made._source = source
    return made
