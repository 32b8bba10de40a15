"""`import prefect` as this package: modules made of the table in `names`.

Law: never active unless it was asked for, and never beside the real package. A name is found when it is asked for; what
is not here is said in one sentence, with the line that asked, and what is nearest to it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import warnings
from collections.abc import Sequence
from dis import opmap
from types import FrameType, ModuleType
from typing import Any

from ..domain.errors import ConfigurationError, NameNotOffered
from ..moving import names
from . import environment

OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep


class PrefectModule(ModuleType):
    """A module of Prefect's whose names are here."""

    def __getattr__(self, name: str) -> Any:
        module = self.__name__
        if name == "__all__":
            return _star(module)
        found = names.place_of(module, name)
        if found is not None:
            place = importlib.import_module(found.module)
            # (A module that is a name of its package is one of its attributes only when it was imported.)
            value = getattr(place, found.name, None) or importlib.import_module(f"{found.module}.{found.name}")
        elif module in names.WHOLE:
            return getattr(importlib.import_module(names.WHOLE[module]), name)
        elif f"{module}.{name}" in names.OFFERED:
            value = importlib.import_module(f"{module}.{name}")
        elif module == "prefect.settings" and name.startswith("PREFECT_"):
            value = importlib.import_module(names.OF_SETTINGS).setting(name)
        elif _is_imported(sys._getframe(1)):
            raise not_offered(f"{module}.{name}")
        else:  # what asks whether there is such a name, must get an answer
            raise AttributeError(str(not_offered(f"{module}.{name}")))
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *names.NAMES[self.__name__]})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `prefect`, what is below it, and the packages that need the real one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        head = fullname.partition(".")[0]
        if head in names.INTEGRATIONS:
            if _only_asks(sys._getframe(1)):
                return None
            raise not_offered(fullname)
        if head not in names.PACKAGES:
            return None
        if fullname not in names.OFFERED:
            raise not_offered(fullname)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return PrefectModule(spec.name, f"`{spec.name}` as Penstock has it.")

    def exec_module(self, module: ModuleType) -> None:
        importlib.import_module(names.HABITS).take(module.__name__)


def _is_imported(frame: FrameType) -> bool:
    """Whether the name is wanted by `from … import name`."""
    return frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"] if frame.f_lasti >= 0 else False


def _only_asks(frame: FrameType | None) -> bool:
    """Whether somebody wants to know if a package is there (`importlib.util.find_spec`), and not to import it."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file in ("<frozen importlib.util>", importlib.util.__file__):
            return True
        if not file.startswith("<frozen importlib"):
            return False
        frame = frame.f_back
    return False


_finder = Finder()


def activate() -> None:
    """From now on `import prefect` is this package, in this process and those that it starts.

    Raises `ConfigurationError` when the real one is imported already.
    """
    real = sys.modules.get("prefect")
    if real is not None and not isinstance(real, PrefectModule):
        raise ConfigurationError(
            "The package prefect itself is imported in this program already, and cannot be two things: import "
            "penstock.prefect before anything that imports prefect, or run the program by `penstock run --prefect`."
        )
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
        environment.take()


def is_active() -> bool:
    return _finder in sys.meta_path


def deactivate() -> None:
    """As it was before, for tests: `import prefect` finds what is installed. (Settings stay as they were taken.)"""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    for name in [name for name, module in sys.modules.items() if isinstance(module, PrefectModule)]:
        del sys.modules[name]


def not_offered(dotted: str) -> NameNotOffered:
    """What is raised for a name that is not here."""
    near = names.nearest(dotted)
    advice = f"the nearest is {near}." if near else "nothing here does the same."
    return NameNotOffered(f"{line_of_user()}: {dotted} is not offered by Penstock; {advice}", name=dotted)


def line_of_user() -> str:
    """`flow.py:3`: the line that is being imported by."""
    frame = sys._getframe()
    while frame.f_back is not None:
        file = frame.f_code.co_filename
        if not file.startswith((OURS, "<frozen importlib")):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def _star(module: str) -> list[str]:
    """What `from module import *` gives; that more was perhaps wanted is said."""
    warnings.warn(
        f"{line_of_user()}: from {module} import * gives what Penstock offers of it; a name that is missing later is "
        "not among it.",
        stacklevel=3,
    )
    return [name for name in names.NAMES[module] if not name.startswith("_")]
