"""Arguments by name, as Python itself binds them."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.parameters import make_binder, spread


def functions() -> list[Any]:
    def none(): ...
    def plain(a, b=2): ...
    def positional(a, b=2, /): ...
    def mixed(a, /, b, *, c, d=4): ...
    def starred(a, *rest, c=3, **more): ...
    def everything(a, b=2, /, c=3, *rest, d, e=5, **more): ...
    def keywords(*, a, b=2): ...
    def rests(*args, **kwargs): ...

    return [none, plain, positional, mixed, starred, everything, keywords, rests]


@given(
    st.sampled_from(functions()),
    st.lists(st.integers(), max_size=5),
    st.dictionaries(st.sampled_from("abcdex"), st.integers()),
)
def test_a_call_is_bound_exactly_as_python_binds_it(fn: Any, args: list[int], kwargs: dict[str, int]) -> None:
    binder = make_binder(fn, "fn")
    try:
        fn(*args, **kwargs)  # (inspect's own binding differs for `/` with `**`; Python's is what counts)
    except TypeError:
        with pytest.raises(TypeError):
            binder(*args, **kwargs)
        return
    try:
        expected = inspect.signature(fn).bind(*args, **kwargs)
    except TypeError:
        return
    expected.apply_defaults()
    bound = binder(*args, **kwargs)
    assert bound == expected.arguments
    assert list(bound) == list(expected.arguments)
    again, named = spread(fn, bound)
    assert binder(*again, **named) == bound


def test_a_default_that_cannot_be_written_down_is_handed_on() -> None:
    default = object()

    def fn(a=default): ...

    assert make_binder(fn, "fn")() == {"a": default}


@pytest.mark.parametrize("name", ["fn", "not an identifier", "class", ""])
def test_errors_name_the_function_whatever_its_name(name: str) -> None:
    def function(a): ...

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        make_binder(function, name)()


@pytest.mark.parametrize("name", ["bind", "_default_a", "defaults", "self", "__builtins__"])
def test_no_name_of_a_parameter_is_in_the_way(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def fn({name}, a=5): ...", namespace)
    assert make_binder(namespace["fn"], "fn")(1) == {name: 1, "a": 5}
