"""Each check of rules.py finds what is planted, where it is planted, and lets a clean tree pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from . import rules

CHECKS = [check for name, check in vars(rules).items() if name.startswith("check_")]

CLEAN = {
    "__init__.py": '''"""The front door."""
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.flows.flow import flow as flow

__version__ = "0.1.0"
__all__ = ["flow"]
_HOMES = {"flow": "penstock.flows.flow"}

def __getattr__(name):
    from importlib import import_module
    return getattr(import_module(_HOMES[name]), name)

def __dir__():
    return __all__
''',
    "domain/__init__.py": "",
    "domain/states.py": "import msgspec\nfrom .errors import Lost\n",
    "domain/errors.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .states import Kind\n",
    "store/__init__.py": "from penstock.domain import states\n",
    "services/runs.py": "from penstock import __version__\nfrom penstock.store import rows\n",
    "ledger/local.py": "from penstock.services import runs\n",
    "engine/run.py": "import typing\nif typing.TYPE_CHECKING:\n    from penstock.ledger import contract\n",
    "flows/flow.py": "def call():\n    import asyncio, pydantic\n    from penstock.engine.run import run\n",
    "cli/main.py": "def main():\n    from penstock.services import runs\n    import penstock.flows.flow\n",
    "states.py": '"""States."""\nfrom penstock.domain.states import Kind\n__all__ = ["Kind"]\n',
}

LONG_BODY = "def f():\n" + "    x = 1\n" * 60
LONG_DOCSTRING = 'def f():\n    """Title.\n' + "    more\n" * 80 + '    """\n' + "    x = 1\n" * 59

PLANTED: list[tuple[Callable[[Path], list[str]], dict[str, str], str]] = [
    (rules.check_layers, {"domain/a.py": "\nimport penstock.store.sqlite\n"}, "domain/a.py:2: domain imports"),
    (rules.check_layers, {"domain/a.py": "from ..store import b\n"}, "domain/a.py:1: domain imports penstock.store"),
    (rules.check_layers, {"domain/__init__.py": "from ..store import b\n"}, "domain/__init__.py:1: domain imports"),
    (rules.check_layers, {"domain/a.py": "from penstock import flow\n"}, "domain/a.py:1: domain imports penstock,"),
    (rules.check_layers, {"ledger/remote.py": "from penstock.services import runs\n"}, "ledger/remote.py:1"),
    (rules.check_layers, {"flows/a.py": "def f():\n    from penstock.store import b\n"}, "flows/a.py:2: flows imports"),
    (rules.check_layers, {"api/a.py": "import importlib\nimportlib.import_module('penstock.store.b')\n"}, "api/a.py:2"),
    (rules.check_layers, {"attic/a.py": ""}, "attic/a.py:1: attic is not a room"),
    (
        rules.check_cycles,
        {"store/a.py": "from . import b\n", "store/b.py": "from .a import x\n"},
        "store/a.py:1: import",
    ),
    (
        rules.check_cycles,
        {
            "engine/a.py": "import penstock.engine.b\n",
            "engine/b.py": "from penstock.engine import c\n",
            "engine/c.py": "def f():\n    from penstock.engine.a import x\n",
        },
        "penstock.engine.a → penstock.engine.b → penstock.engine.c → penstock.engine.a",
    ),
    (rules.check_lazy_ours, {"store/a.py": "def f():\n    from penstock.domain import states\n"}, "store/a.py:2"),
    (
        rules.check_lazy_ours,
        {"store/a.py": "class A:\n    async def f(self):\n        from . import b\n"},
        "store/a.py:3",
    ),
    (
        rules.check_lazy_third_party,
        {"store/a.py": "def f():\n    import msgspec.json\n"},
        "store/a.py:2: imports msgspec",
    ),
    (
        rules.check_doors,
        {"states.py": "\nclass A:\n    pass\n"},
        "states.py:2: public door penstock.states holds class A",
    ),
    (
        rules.check_doors,
        {"tasks.py": "def f():\n    pass\n"},
        "tasks.py:1: public door penstock.tasks holds function f",
    ),
    (rules.check_doors, {"results.py": "print(1)\n"}, "results.py:1: public door penstock.results holds a statement"),
    (rules.check_file_sizes, {"store/a.py": "x = 1\n" * 501}, "store/a.py:501: 501 lines"),
    (rules.check_file_sizes, {"store/migrations/0001.sql": "--\n" * 501}, "store/migrations/0001.sql:501: 501 lines"),
    (rules.check_function_sizes, {"store/a.py": "\n" + LONG_BODY}, "store/a.py:2: f has 61 lines"),
    (rules.check_names, {"store/utils.py": ""}, "store/utils.py:1: the name utils says nothing"),
    (rules.check_names, {"store/_base/a.py": ""}, "store/_base:1: the name _base says nothing"),
]


def plant(folder: Path, files: dict[str, str]) -> Path:
    root = folder / "src" / "penstock"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_clean_tree_passes(check: Callable[[Path], list[str]], tmp_path: Path) -> None:
    assert check(plant(tmp_path, CLEAN)) == []


@pytest.mark.parametrize(("check", "files", "message"), PLANTED)
def test_a_planted_violation_is_found_once(
    check: Callable[[Path], list[str]], files: dict[str, str], message: str, tmp_path: Path
) -> None:
    found = check(plant(tmp_path, CLEAN | files))
    assert len(found) == 1, found
    assert message in found[0]


def test_every_check_has_a_planted_violation() -> None:
    assert {check for check, _, _ in PLANTED} == set(CHECKS)


def test_limits_are_inclusive_and_docstrings_are_free(tmp_path: Path) -> None:
    root = plant(tmp_path, {"store/a.py": "x = 1\n" * 500, "store/b.py": LONG_DOCSTRING})
    assert rules.check_file_sizes(root) == []
    assert rules.check_function_sizes(root) == []
