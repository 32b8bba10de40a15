"""Variables: what is set is what everybody gets, in flows, outside them and in other processes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock import flow, task
from penstock.exceptions import InvalidName, NameTaken, UnstorableValue
from penstock.logging import mask_secret
from penstock.variables import Variable

from .kit import Programs, Record


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


STORABLE = ["", "hello", "ü\x00\ud800😀", 0, -5, 10**30, 1.5, True, False, None, [], {}, [1, "a", None, [2.5]], {"a": {"b": [1]}, "": 0}]  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("value", STORABLE, ids=lambda value: ascii(value)[:20])
def test_a_value_comes_back_as_it_was_set(value: object) -> None:
    made = Variable.set("it", value, tags=["a", "b", "a"])

    assert (made.name, made.value, made.tags) == ("it", value, ["a", "b"])
    got = Variable.get("it", default="no")
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"bytes", "a bytes"),
        ((1, 2), "a tuple"),
        ({"a": [0, {1, 2}]}, r"a set in it\['a'\]\[1\]"),
        ({1: 2}, "a key that is not text"),
        (float("nan"), "nan"),
        ([float("inf")], r"inf in it\[0\]"),
        (10**5000, "too long a number"),
        (nested(5000), "nested too deeply"),
        ("x" * 4999, "5,001 characters as JSON; 5,000 is the most"),
        ("ü" * 1000, "6,002 characters"),
    ],
    ids=lambda it: ascii(it[:20]) if isinstance(it, str) else type(it).__name__,
)
def test_what_would_not_come_back_is_not_set(value: object, why: str) -> None:
    with pytest.raises(UnstorableValue, match=why) as raised:
        Variable.set("it", value)
    assert "'it'" in str(raised.value)
    assert isinstance(raised.value, ValueError)
    assert Variable.get("it", "nothing") == "nothing"


def test_the_longest_value_is_set() -> None:
    Variable.set("it", "x" * 4998)
    assert Variable.get("it") == "x" * 4998


def test_a_cycle_is_told() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(UnstorableValue, match="nested too deeply"):
        Variable.set("it", value)


@pytest.mark.parametrize("name", ["a", "0", "_", "a-b_c", "x" * 255])
def test_names_that_are_allowed(name: str) -> None:
    Variable.set(name, 1)
    assert Variable.get(name) == 1


@pytest.mark.parametrize(
    "name",
    ["", "A", "a b", "a/b", "../a", "a\x00", "a\n", "ü", "\ud800", "a'; DROP TABLE variable; --", "x" * 256, "x" * 10_000, 5, None],  # noqa: E501
    ids=lambda name: ascii(name)[:20],
)  # fmt: skip
def test_names_that_are_not(name: Any) -> None:
    for use in (lambda: Variable.set(name, 1), lambda: Variable.get(name, 1), lambda: Variable.unset(name)):
        with pytest.raises(InvalidName) as raised:
            use()
        assert len(str(raised.value)) < 400
        assert str(raised.value).isprintable()
    Variable.set("still", 1)


@pytest.mark.parametrize("tags", ["a", b"a", [""], ["a\nb"], [5], 5, [[]], ["x" * 256]], ids=lambda it: repr(it)[:10])
def test_tags_are_printable_texts(tags: Any) -> None:
    with pytest.raises(UnstorableValue):
        Variable.set("it", 1, tags=tags)


@pytest.mark.parametrize(
    ("value", "tags"), [("say häppy-s3cret!", []), ({"a": ["häppy-s3cret!"]}, []), (1, ["häppy-s3cret!"])]
)
def test_a_secret_in_a_variable_is_warned_of(value: Any, tags: list[str]) -> None:
    Variable.set("before", value, tags)
    mask_secret("häppy-s3cret!")

    with pytest.warns(UserWarning, match="Variable 'it' holds a secret, which everybody can read now") as said:
        Variable.set("it", value, tags)
    assert said[0].filename == __file__
    assert Variable.get("it") == value
    Variable.set("other", "nothing", ["of that"])


def test_a_variable_that_is_set_is_kept_unless_it_is_to_be_overwritten() -> None:
    Variable.set("it", 1, tags=["a"])

    with pytest.raises(NameTaken, match=r"'it' already exists; overwrite=True"):
        Variable.set("it", 2)
    assert Variable.get("it") == 1

    assert Variable.set("it", 2, overwrite=True).tags == []
    assert Variable.get("it") == 2


def test_what_is_not_set_has_the_default() -> None:
    assert Variable.get("it") is None
    assert Variable.get("it", default=5) == 5
    assert Variable.unset("it") is False
    Variable.set("it", None)
    assert Variable.get("it", default=5) is None
    assert Variable.unset("it") is True
    assert Variable.get("it", default=5) == 5


def test_all_can_be_awaited() -> None:
    async def use() -> list[Any]:
        made = await Variable.aset("it", 1, ["a"], overwrite=True)
        return [made.tags, await Variable.aget("it"), await Variable.aunset("it"), await Variable.aget("it", 0)]

    assert asyncio.run(use()) == [["a"], 1, True, 0]


def test_variables_are_there_in_flows_tasks_and_other_processes(programs: Programs, record: Record) -> None:
    @task
    def double() -> int:
        return int(Variable.get("count")) * 2

    @flow
    def etl() -> list[int]:
        Variable.set("count", 21)
        return [double(), double.submit().result()]

    assert etl() == [42, 42]
    done = programs.run("""
        from penstock import flow, task
        from penstock.task_runners import ProcessPoolTaskRunner
        from penstock.variables import Variable

        @task
        def double(at):
            return Variable.get("count") * 2

        @flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
        def other():
            assert Variable.get("count") == 21
            assert double.map([1, 2]).result() == [42, 42]
            Variable.set("from_there", True)

        if __name__ == "__main__":
            other()
    """)
    assert done.code == 0, done.stderr
    assert Variable.get("from_there") is True
    assert record.flow_run("other").state.name == "Completed"


def test_processes_that_set_at_once_lose_nothing(programs: Programs) -> None:
    program = programs.write("""
        import sys
        from penstock.exceptions import NameTaken
        from penstock.variables import Variable
        won = 0
        for number in range(40):
            try:
                Variable.set(f"shared-{number}", sys.argv[1])
                won += 1
            except NameTaken:
                pass
            Variable.set(f"own-{sys.argv[1]}-{number}", number)
        print(won)
    """)
    done = [programs.finish(each) for each in [programs.start(program, name) for name in "abc"]]

    assert [each.code for each in done] == [0, 0, 0], done
    assert sum(int(each.stdout) for each in done) == 40
    assert all(Variable.get(f"own-{name}-{number}") == number for name in "abc" for number in range(40))


def test_importing_variables_costs_no_pydantic(programs: Programs) -> None:
    done = programs.run("""
        import sys
        from penstock.variables import Variable
        assert Variable.set("it", 1).value == 1
        assert not {"pydantic", "cryptography", "rich"} & sys.modules.keys()
    """)
    assert done.code == 0, done.stderr
