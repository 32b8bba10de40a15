"""Reading the source tree: its modules and what each of them imports. Nothing is executed."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "penstock"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    name: str  # dotted: penstock.store.sqlite; a package is named without __init__
    path: Path
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return room_of(self.name)

    def at(self, line: int) -> str:
        return f"{self.path}:{line}"


@dataclass(frozen=True)
class Import:
    module: Module  # who imports
    target: str  # what: a dotted module name, the deepest that is known to be a module
    line: int
    in_function: bool
    for_types: bool  # under `if TYPE_CHECKING:`

    @property
    def ours(self) -> bool:
        return self.target.split(".")[0] == PACKAGE

    @property
    def where(self) -> str:
        return self.module.at(self.line)


def room_of(name: str) -> str:
    """penstock.store.sqlite → store; penstock.connect → connect; penstock → __init__."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def read_modules(root: Path) -> list[Module]:
    """Every module under the package folder `root`; paths are shown from the folder that holds src."""
    found = []
    shown_from = root.parent.parent
    for path in sorted(root.rglob("*.py")):
        parts = list(path.relative_to(root).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        text = path.read_text(encoding="utf-8")
        found.append(_module(".".join([PACKAGE, *parts]), path.relative_to(shown_from), text))
    return found


@functools.cache
def _module(name: str, path: Path, text: str) -> Module:
    """Each rule reads the whole tree; it is parsed once."""
    return Module(name, path, text, ast.parse(text, str(path)))


def read_imports(modules: list[Module]) -> list[Import]:
    known = {module.name for module in modules}
    return [found for module in modules for found in _imports(module, known)]


def functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def is_type_checking(node: ast.AST) -> bool:
    """Is it the statement `if TYPE_CHECKING:` (or `if typing.TYPE_CHECKING:`)?"""
    if not isinstance(node, ast.If):
        return False
    test = node.test
    return getattr(test, "id", getattr(test, "attr", None)) == "TYPE_CHECKING"


def _imports(module: Module, known: set[str]) -> Iterator[Import]:
    for node, in_function, for_types in _walk(module.tree, False, False):
        for target in _targets(node, module, known):
            yield Import(module, target, node.lineno, in_function, for_types)


def _walk(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Every node below, each with: is it inside a function? is it only for type checkers?"""
    if is_type_checking(node):
        for child in node.body:
            yield child, in_function, True
            yield from _walk(child, in_function, True)
        children = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in children:
        yield child, inside, for_types
        yield from _walk(child, inside, for_types)


def _targets(node: ast.AST, module: Module, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        source = _source(node, module)
        names = [alias.name for alias in node.names]
        if source == PACKAGE:  # the version is plain data: anyone may have it
            names = [name for name in names if name != "__version__"]
        deeper = (f"{source}.{name}" for name in names)
        yield from dict.fromkeys(name if name in known else source for name in deeper)
    elif isinstance(node, ast.Call) and _is_import_call(node.func) and node.args:
        first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and not first.value.startswith("."):
            yield first.value


def _source(node: ast.ImportFrom, module: Module) -> str:
    """The absolute name of the module after `from`, dots resolved."""
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    up = node.level - (1 if module.path.name == "__init__.py" else 0)
    package = package[: len(package) - up]
    return ".".join([*package, node.module] if node.module else package)


def _is_import_call(function: ast.expr) -> bool:
    return getattr(function, "attr", getattr(function, "id", None)) in {"import_module", "__import__"}
