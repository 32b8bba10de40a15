"""Loading a user's program again without running it, to find a flow in it.

Law: what is loaded is `__main__` as it was before, so that what was pickled of it is found; but for `if __name__ ==
"__main__"`, which is false, and for calls of flows and tasks, which are left out. Nothing of ours stays behind.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import AsyncGenerator, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from ..domain.errors import DeploymentError, ObjectNotFound, TransitionRefused
from ..domain.runs import Entrypoint
from ..domain.states import make
from .definition import Decorated

if TYPE_CHECKING:
    from .flow import Flow

# Where flows and tasks are called.
_DOORS = ("penstock.flows.flow", "penstock.flows.task")

# Modules that were `__main__` before: what still runs of them needs their names.
_former: list[ModuleType] = []
_loading = False


def load(entry: Entrypoint, *, whole: bool = False, moved: bool = False) -> ModuleType:
    """The module that a flow was in. `whole`: with the program it was called from, where that is another. `moved`: it
    is taken from its file, whatever there is of its module's name.

    Raises what the user's code raises, and `ObjectNotFound` for a file or a module that is not there.
    """
    if entry.prefect is not None:
        os.environ.setdefault("PENSTOCK_PREFECT_ALIAS", entry.prefect)
        importlib.import_module("penstock.prefect")  # by name: it is above this room, and only there for such programs
    folder = os.path.dirname(os.path.realpath(entry.program)) if entry.program and not entry.program_module else None
    sys.path.insert(0, folder or entry.directory or os.getcwd())
    sys.argv = list(entry.argv) or [entry.program or ""]
    importlib.invalidate_caches()
    with _calls_left_out() as left_out:
        if entry.module == "__main__" or entry.module is None:
            return _load_program(entry, left_out)
        if whole and entry.program is not None:
            _load_program(entry, left_out)
        if moved and entry.path is not None:
            return load_file(entry.path, entry.module)
        try:
            return importlib.import_module(entry.module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{entry.module}.".startswith(f"{error.name}.") or entry.path is None:
                raise
            return load_file(entry.path, entry.module)


def find(module: ModuleType, function: str, name: str) -> Flow[..., Any]:
    """The flow of that function, and of that name where there are several. Raises `ObjectNotFound`."""
    owner: Any = module
    for part in function.split("."):
        owner = getattr(owner, part, None)
    everything = [owner, *vars(module).values()]
    found: list[Any] = [
        each for each in everything if isinstance(each, Decorated) and each.is_flow and _name_of(each) == function
    ]
    if not found:
        flows: list[Any] = [each for each in everything if isinstance(each, Decorated) and each.is_flow]
        known = sorted({_name_of(each) or each.name for each in flows})
        raise ObjectNotFound(
            f"There is no flow {function!r} in {getattr(module, '__file__', None) or module.__name__} (any more). It "
            f"has: {', '.join(known) or 'no flows'}."
        )
    return next((each for each in found if each.name == name), found[0])


def flow_at(folder: str | os.PathLike[str], entrypoint: str, name: str = "") -> Flow[..., Any]:
    """The flow at an entrypoint, as seen from a folder; this program is as it was afterwards. Raises what the user's
    code raises, `DeploymentError` for what is no entrypoint, and `ObjectNotFound`."""
    before = os.getcwd()
    try:
        os.chdir(folder)
        entry = entrypoint_of(entrypoint)
        with undisturbed():
            return find(load(entry), entry.function or "", name)
    finally:
        os.chdir(before)


def _name_of(flow: Any) -> str | None:
    return getattr(flow.fn, "__qualname__", None)


def load_file(path: str, name: str) -> ModuleType:
    """A file as a module of this name. Raises `ObjectNotFound`."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise ObjectNotFound(f"The file {path} is not there (any more), or is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# --- the program -----------------------------------------------------------------------------------------------------


def _load_program(entry: Entrypoint, left_out: set[str]) -> ModuleType:
    """The file that was started, as `__main__`."""
    module = ModuleType("__main__")
    path = entry.program or os.path.join(entry.directory or "", entry.path or "")
    if entry.program_module is not None:
        spec = importlib.util.find_spec(entry.program_module)
        if spec is None or spec.origin is None:
            raise ObjectNotFound(f"There is no module {entry.program_module!r} (any more).")
        path, module.__spec__, module.__package__ = spec.origin, spec, spec.parent
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise ObjectNotFound(
            f"The program {path} cannot be read ({error.strerror}). Say where it is now by --entrypoint "
            "path/to/file.py:function."
        ) from None
    module.__file__ = path
    _former.append(sys.modules["__main__"])
    sys.modules["__main__"] = module
    tree = _Unguarded().visit(ast.parse(source, path))
    code = compile(tree, path, "exec", dont_inherit=True)
    try:
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        if not left_out:
            raise
        # What it does with the value of a call that was left out, it cannot do.
        print(f"penstock: {path} was not loaded to its end: {type(error).__name__}: {error}", file=sys.stderr)
    return module


class _Unguarded(ast.NodeTransformer):
    """`__name__ == "__main__"` is false where it is asked while the file is loaded."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        sides = [node.left, *node.comparators]
        about_name = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
        about_main = any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)
        if len(sides) == 2 and about_name and about_main and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            return ast.copy_location(ast.Constant(isinstance(node.ops[0], ast.NotEq)), node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        return node


# --- calls -----------------------------------------------------------------------------------------------------------


def is_loading() -> bool:
    """Whether a program is being loaded, and not run."""
    return _loading


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """What loading a program changes of this one is as it was again."""
    path, argv, main = list(sys.path), list(sys.argv), sys.modules["__main__"]
    try:
        yield
    finally:
        sys.path[:], sys.argv[:], sys.modules["__main__"] = path, argv, main


@contextlib.contextmanager
def _calls_left_out() -> Iterator[set[str]]:
    """Calls of flows and tasks do nothing and give None; the set has the names of those that were called."""
    global _loading
    left_out: set[str] = set()
    doors: list[Any] = [importlib.import_module(name) for name in _DOORS]
    before = [door._calls for door in doors]
    for door in doors:
        door._calls = _NoCalls(left_out)
    loading, _loading = _loading, True
    try:
        yield left_out
    finally:
        _loading = loading
        for door, calls in zip(doors, before, strict=True):
            door._calls = calls


class _NoCalls:
    """Stands for `flows.calls` while a program is loaded."""

    def __init__(self, left_out: set[str]) -> None:
        self._left_out = left_out

    def call_flow(self, flow: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        self._say("flow", flow)
        if flow.isgenerator:
            return _nothing_to_come() if flow.isasync else iter(())
        value = make("Completed") if kwargs.get("return_state") else None
        return _awaitable(value) if flow.isasync else value

    def call_task(self, task: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        self._say("task", task)
        if task.isgenerator:
            return _nothing_to_come() if task.isasync else iter(())
        value = make("Completed") if kwargs.get("return_state") else None
        return _awaitable(value) if task.isasync else value

    def submit_task(self, task: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        self._say("task", task)
        return make("Completed") if kwargs.get("return_state") else None

    def map_task(self, task: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        self._say("task", task)
        return []

    def _say(self, kind: str, called: Any) -> None:
        name = f"{kind} {called.name!r}"
        if name not in self._left_out:
            self._left_out.add(name)
            print(f"penstock: {name} is called while its program is loaded: that call is left out", file=sys.stderr)

    @staticmethod
    def without_ours(error: BaseException) -> BaseException:
        return error


async def _awaitable(value: Any) -> Any:
    return value


async def _nothing_to_come() -> AsyncGenerator[Any, None]:
    nothing: tuple[Any, ...] = ()
    for item in nothing:
        yield item


def entrypoint_of(text: str) -> Entrypoint:
    """The entrypoint that `path/to/file.py:function`, `package.module:function` or `package.module.function` names.
    Raises `DeploymentError` for text that is none."""
    place, colon, function = text.rpartition(":")
    if not colon:
        if text.endswith(".py"):
            raise DeploymentError(f"{text!r} is a file: say which flow of it, {text}:function.")
        place, _, function = text.rpartition(".")
    if not place or not function.replace(".", "").isidentifier():
        raise DeploymentError(
            f"{text!r} does not say where a flow is: write path/to/file.py:function or package.module:function."
        )
    directory = os.getcwd()
    if not place.endswith(".py") and os.sep not in place:
        return Entrypoint(function=function, module=place, directory=directory)
    path = os.path.abspath(place)
    if not os.path.isfile(path):
        raise ObjectNotFound(f"The file {path} of entrypoint {text!r} is not there.")
    return Entrypoint(path=path, function=function, module="__main__", program=path, directory=directory)


def elsewhere(entry: Entrypoint, place: str) -> Entrypoint:
    """The entrypoint with its flow at `path:function`. Raises `TransitionRefused` for text that is no such place."""
    path, colon, function = place.rpartition(":")
    if not colon or not function or not os.path.isfile(path):
        raise TransitionRefused(
            f"{place!r} does not say where a flow is: write path/to/file.py:function, with a file that is there."
        )
    path = os.path.abspath(path)
    moved = msgspec.structs.replace(entry, path=path, function=function, module=entry.module or "__main__")
    if moved.module == "__main__":
        return msgspec.structs.replace(moved, program=path, program_module=None)
    return moved
