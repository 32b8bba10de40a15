"""The table, the typed object and the package's names are one list; kinds read back what they write."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock.settings as room
from penstock.settings import SETTINGS, Setting, Settings, current
from penstock.settings.kinds import (
    BOOLEAN,
    CAPTURE,
    CONSOLE,
    COUNT,
    DAYS,
    LEVEL,
    NAMES,
    PATH,
    PATTERNS,
    POSITIVE,
    RULES,
    SECONDS,
    TEXT,
    URL,
    Patterns,
    written,
)

TYPES: dict[Any, tuple[Any, ...]] = {
    PATH: (Path,),
    TEXT: (str,),
    URL: (str,),
    LEVEL: (str,),
    BOOLEAN: (bool,),
    COUNT: (int,),
    POSITIVE: (int,),
    SECONDS: (float,),
    DAYS: (float,),
    NAMES: (tuple[str, ...],),
    PATTERNS: (tuple[str, ...],),
    CONSOLE: (str,),
    CAPTURE: (str,),
    RULES: (str,),
}


def test_settings_has_exactly_the_attributes_of_the_table() -> None:
    hints = {name: hint for name, hint in get_type_hints(Settings).items() if not name.startswith("_")}
    assert list(hints) == [setting.attribute for setting in SETTINGS.values()]


@pytest.mark.parametrize("setting", SETTINGS.values())
def test_each_annotation_is_the_type_of_the_setting(setting: Setting[Any]) -> None:
    hint = get_type_hints(Settings)[setting.attribute]
    label = setting.kind.label.removesuffix(", optional")
    types = next(types for kind, types in TYPES.items() if kind.label == label)
    expected = (*types, type(None)) if setting.kind.label != label else types
    assert (get_args(hint) if type(None) in get_args(hint) else (hint,)) == expected
    assert setting.default is None or type(setting.default) in (*types, type(Path()), tuple)


@pytest.mark.parametrize("setting", SETTINGS.values())
def test_each_setting_can_be_imported_described_read_and_pickled(setting: Setting[Any]) -> None:
    assert getattr(room, setting.name) is setting
    assert setting.name in room.__all__
    assert setting.description.endswith(".")
    assert setting.value() == getattr(current(), setting.attribute)
    assert setting.name in repr(setting)
    assert pickle.loads(pickle.dumps(setting)) is setting


def test_a_setting_that_does_not_exist_cannot_be_imported() -> None:
    with pytest.raises(ImportError, match="PENSTOCK_NO_SUCH"):
        from penstock.settings import PENSTOCK_NO_SUCH  # type: ignore[attr-defined]  # noqa: F401


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", "Yes", "on", "oN", " true "])
def test_words_for_true(text: str) -> None:
    assert BOOLEAN.read(text) is True


@pytest.mark.parametrize("text", ["false", "FALSE", "0", "no", "NO", "off"])
def test_words_for_false(text: str) -> None:
    assert BOOLEAN.read(text) is False


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (BOOLEAN, "maybe"),
        (BOOLEAN, 2),
        (BOOLEAN, None),
        (COUNT, -1),
        (COUNT, "-1"),
        (COUNT, "1.5"),
        (COUNT, 1.0),
        (COUNT, True),
        (COUNT, 2**63),
        (POSITIVE, 0),
        (SECONDS, "nan"),
        (SECONDS, float("inf")),
        (SECONDS, -0.1),
        (SECONDS, True),
        (SECONDS, 10**400),
        (SECONDS, "1e10"),
        (DAYS, 1e6),
        (LEVEL, "LOUD"),
        (LEVEL, 10),
        (TEXT, ""),
        (TEXT, 3),
        (TEXT, "a\0b"),
        (PATH, ""),
        (PATH, 3),
        (URL, "localhost:4200/api"),
        (URL, "http://"),
        (URL, "http://a b"),
        (URL, "ftp://host"),
        (NAMES, 3),
        (NAMES, ["a,b"]),
        (NAMES, [1]),
    ],
)
def test_what_a_kind_does_not_allow_is_refused(kind: Any, raw: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the caller writes the sentence
        kind.read(raw)


PRINTABLE = st.text(st.characters(categories=["L", "N", "P"]), min_size=1)


@given(
    st.one_of(
        st.tuples(st.just(BOOLEAN), st.booleans()),
        st.tuples(st.just(COUNT), st.integers(0, 2**63 - 1)),
        st.tuples(st.just(SECONDS), st.floats(0, 1e9)),
        st.tuples(st.just(TEXT), PRINTABLE),
        st.tuples(st.just(NAMES), st.lists(PRINTABLE.filter(lambda it: "," not in it)).map(tuple)),
    )
)
def test_what_a_kind_writes_it_reads_back(case: tuple[Any, Any]) -> None:
    kind, value = case
    assert kind.read(written(value)) == value
    assert kind.read(value) == value


def test_patterns_hold_commas_and_are_one_a_line() -> None:
    read = PATTERNS.read("tok_[a-z]{2,3}\n\n  key=\\S+ ")
    assert read == ("tok_[a-z]{2,3}", "key=\\S+")
    assert isinstance(read, Patterns)
    assert PATTERNS.read(written(read)) == read
    assert PATTERNS.read(["a{1,2}"]) == ("a{1,2}",)


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ('["a{1,2}", "b\\\\d"]', ("a{1,2}", "b\\d")),
        ('["a"] ', ("a",)),
        ('["a]', ('["a]',)),
        ("[ab]", ("[ab]",)),
        ("[1]", ("[1]",)),
    ],
)
def test_patterns_may_be_a_list_in_json(text: str, patterns: tuple[str, ...]) -> None:
    assert PATTERNS.read(text) == patterns


@pytest.mark.parametrize("bad", ["(", "a*", "", ["ok", "["], 5, {"a"}])
def test_a_pattern_that_is_none_or_fits_nothing_is_refused(bad: object) -> None:
    if bad == "":
        assert PATTERNS.read(bad) == ()
        return
    with pytest.raises(ValueError):  # noqa: PT011 - kinds raise just that
        PATTERNS.read(bad)


def test_levels_have_the_names_of_the_standard_library() -> None:
    assert [LEVEL.read(text) for text in ("debug", "WARN", "fatal")] == ["DEBUG", "WARNING", "CRITICAL"]


def test_a_choice_takes_its_words_only() -> None:
    assert CAPTURE.read(" ALL ") == "all"
    with pytest.raises(ValueError):  # noqa: PT011
        CAPTURE.read("some")
