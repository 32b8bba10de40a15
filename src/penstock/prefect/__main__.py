"""`python -m penstock.prefect [--rules 2|3] [-m] script.py [args]`: runs Prefect's code as it is.

Law: for the script it is as if it had been started by itself: it is `__main__`, its folder is on the path, its
arguments are its own.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from types import ModuleType
from typing import NoReturn

from ..domain.errors import NameNotOffered
from . import environment

USAGE = "usage: python -m penstock.prefect [--rules 2|3] [-m] SCRIPT.py [ARGUMENTS...]"


def main(arguments: list[str]) -> None:
    """Runs the script; what it raises goes up as ever."""
    given = list(arguments)
    is_module = False
    while given and given[0].startswith("-"):
        option = given.pop(0)
        if option == "--rules" and given and given[0] in ("2", "3"):
            environment.follow(given.pop(0))
        elif option == "-m":
            is_module = True
            break
        else:
            _end(USAGE, 2)
    if not given:
        _end(USAGE, 2)
    sys.argv = given
    run(given[0], is_module)


def run(named: str, is_module: bool) -> None:
    """Runs a file, or a module, as `__main__`."""
    module = ModuleType("__main__")
    path = named
    if is_module:
        sys.path[0] = os.getcwd()
        path, spec = _find(named)
        module.__spec__, module.__package__ = spec, spec.parent
    else:
        sys.path[0] = os.path.dirname(os.path.realpath(named))
        path = os.path.abspath(named)
    module.__file__ = path
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        _end(f"Error: {named} cannot be read: {error.strerror}.", 2)
    _say_if_both(source, path)
    sys.modules["__main__"] = module
    try:
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except NameNotOffered as error:
        _end(f"Error: {error}", 1)


def _find(name: str) -> tuple[str, importlib.machinery.ModuleSpec]:
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    if spec is None or spec.origin is None:
        _end(f"Error: there is no module {name!r}.", 2)
    return spec.origin, spec


def _say_if_both(source: bytes, path: str) -> None:
    """A script that imports both packages gets one."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # said when it is compiled
        return
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.name.partition(".")[0], node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.setdefault(node.module.partition(".")[0], node.lineno)
    if {"prefect", "penstock"} <= found.keys():
        line = max(found["prefect"], found["penstock"])
        print(
            f"penstock: {path}:{line}: prefect and penstock are both imported; in this process both are Penstock.",
            file=sys.stderr,
        )


def _end(text: str, code: int) -> NoReturn:
    print(text, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
