"""What a flow was called with, kept to call it again: cheap, bounded, and honest where it cannot be."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from penstock import flow
from penstock.domain.runs import Arguments
from penstock.engine import origin
from penstock.engine.parameters import bind
from penstock.vault import Vault

MISSING = object()
NO_VAULT = Vault(Path("/nowhere/at/all"))


@flow
def call(a: Any = MISSING, b: Any = 2, *c: Any, d: Any = MISSING, **e: Any) -> None: ...


def kept(*args: Any, **kwargs: Any) -> Arguments | None:
    return origin.keep_arguments(call, bind(call, args, kwargs), 1000, NO_VAULT)


def values(*args: Any, **kwargs: Any) -> Any:
    found = kept(*args, **kwargs)
    assert found is not None
    assert found.data is not None
    return pickle.loads(found.data)


def test_arguments_are_kept_by_name_and_defaults_are_left_to_the_code() -> None:
    assert values(1, "x", 3, d=[4], f=5) == {"a": 1, "b": "x", "c": (3,), "d": [4], "e": {"f": 5}}
    assert values(1) == {"a": 1, "c": (), "e": {}}


def test_a_call_without_arguments_costs_nothing() -> None:
    @flow
    def plain(a: Any = MISSING, *, b: Any = 2) -> None: ...

    assert origin.keep_arguments(plain, bind(plain, (), {}), 1000, NO_VAULT) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (threading.Lock(), "a _thread.lock that cannot be pickled: TypeError"),
        (lambda: 1, "a function that cannot be pickled"),
        ("x" * 2000, "a str of more than 1,000 bytes, which is what PENSTOCK_RESULTS_INLINE_LIMIT allows"),
        (list(range(100_000)), "a list of more than 1,000 bytes"),
        ([["x" * 600], ["y" * 600]], "a list of more than 1,000 bytes"),
    ],
    ids=["lock", "lambda", "text", "many", "nested"],
)
def test_what_cannot_be_kept_is_named_with_its_reason(value: Any, words: str) -> None:
    found = kept(1, value)
    assert found is not None
    assert (found.data, found.parameter) == (None, "b")
    assert found.problem is not None
    assert found.problem.startswith(words)


def test_arguments_that_are_too_large_only_together_are_named_together() -> None:
    found = kept("x" * 600, "y" * 600)
    assert found is not None
    assert found.parameter == "a, b, c, e"
    assert found.problem == "together they take more than 1,000 bytes"


def test_a_digest_tells_whether_a_file_was_changed(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("a = 1\n")
    two.write_text("a = 2\n")
    assert origin.digest(str(one)) != origin.digest(str(two))
    assert origin.digest(str(tmp_path / "none.py")) is None
    assert origin.digest("<stdin>") is None
