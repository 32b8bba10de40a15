"""The source tree keeps the shape that rules.py writes down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from . import rules
from .source import read_modules

ROOT = Path(__file__).resolve().parents[2] / "src" / "penstock"


def keeps(check: Callable[[Path], list[str]]) -> None:
    found = check(ROOT)
    if found:
        pytest.fail("\n".join([f"{check.__doc__} {len(found)} do not:", *found]), pytrace=False)


def test_there_is_a_tree_to_check() -> None:
    assert read_modules(ROOT), f"no Python files under {ROOT}"


def test_rooms_import_only_the_rooms_they_may() -> None:
    keeps(rules.check_layers)


def test_no_import_cycles() -> None:
    keeps(rules.check_cycles)


def test_our_modules_are_imported_inside_functions_only_where_listed() -> None:
    keeps(rules.check_lazy_ours)


def test_packages_are_imported_inside_functions_only_where_listed() -> None:
    keeps(rules.check_lazy_third_party)


def test_public_doors_only_pass_names_on() -> None:
    keeps(rules.check_doors)


def test_no_file_is_too_long() -> None:
    keeps(rules.check_file_sizes)


def test_no_function_is_too_long() -> None:
    keeps(rules.check_function_sizes)


def test_no_module_has_an_empty_name() -> None:
    keeps(rules.check_names)
