"""Names that are made from arguments, storage keys among them, and the runs that arguments came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..domain.errors import DefinitionError
from ..ledger.masked import masked_key
from .context import RunContext, current
from .inputs import LEAVES, futures_in
from .masking import MASKER
from .previews import preview
from .runlog import storable

if TYPE_CHECKING:
    from .context import TaskRunContext
    from .links import Links


LONGEST_NAME = 500


def run_name(template: str | Callable[..., str], context: RunContext[Any], of: str) -> str:
    """A run's name: a template (`"{x}-on-{day:%A}"`) filled with the arguments, or what a function gives.

    The function is called without arguments, or with `parameters=` when it takes that. Raises `DefinitionError`.
    """
    name: Any
    parameters = context.parameters
    if callable(template):
        code = getattr(template, "__code__", None)
        takes = () if code is None else code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        token = current.set(context)  # it may ask `penstock.runtime` about the run that it names
        try:
            name = template(parameters=parameters) if "parameters" in takes else template()
        finally:
            current.reset(token)
    else:
        try:
            name = template.format(**parameters)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise DefinitionError(
                f"{of} is {template!r}, which cannot be filled ({type(error).__name__}: {error}); "
                f"the parameters are {', '.join(parameters) or 'none'}."
            ) from error
    if not isinstance(name, str) or not name:
        raise DefinitionError(f"{of} must give text; it gave {preview(name)}.")
    return storable(MASKER.text(name) if len(name) <= LONGEST_NAME else f"{MASKER.head(name, LONGEST_NAME)}…")


def random_name() -> str:
    """`gigantic-cockatoo`."""
    import coolname

    return coolname.generate_slug(2)


def upstream_of(named: dict[str, Any], links: Links | None) -> dict[str, tuple[UUID, ...]]:
    """Parameter -> the runs whose values are in it: futures, and the very objects that runs returned."""
    found: dict[str, tuple[UUID, ...]] = {}
    for name, value in named.items():
        kind = type(value)
        if kind in LEAVES and (links is None or links.of(value) is None):
            continue
        ids = [] if kind in LEAVES else [future.task_run_id for future in futures_in((value,))]
        if links is not None and not ids:
            run_id = links.of(value)
            if run_id is not None:
                ids = [run_id]
            elif kind in (list, tuple) and len(value) <= 100:
                ids = [each for item in value if (each := links.of(item)) is not None]
        if ids:
            found[name] = tuple(dict.fromkeys(ids))
    return found


def storage_key(template: str | Callable[..., str] | None, context: TaskRunContext) -> str | None:
    """`result_storage_key`: a template over the parameters (`{parameters[x]}`, or plainly `{x}`), or a function."""
    if template is None:
        return None
    if callable(template):
        return masked_key(MASKER, template())
    try:
        return masked_key(MASKER, template.format(parameters=context.parameters, **context.parameters))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise DefinitionError(
            f"result_storage_key {template!r} of task {context.task.name!r} cannot be filled: {error!r}."
        ) from error


def storage_path(storage: Any, default: Path) -> Path:
    """The folder of a `result_storage`: a path, an object with a `basepath`, or the default."""
    if storage is None:
        return default
    return Path(getattr(storage, "basepath", storage)).expanduser()
