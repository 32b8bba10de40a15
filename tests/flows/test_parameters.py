"""A flow's arguments are coerced to its annotations; those that do not fit are named, each of them."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pydantic
import pytest

from penstock import flow, task
from penstock.exceptions import ParameterTypeError

from .kit import Programs, Record, names


class Colour(enum.Enum):
    RED = "red"


class Point(pydantic.BaseModel):
    x: int
    y: int = 0


@dataclass
class Size:
    width: int


@pytest.mark.parametrize(
    ("annotation", "given", "expected"),
    [
        (int, "5", 5),
        (float, 1, 1.0),
        (bool, "true", True),
        (date, "2026-06-30", date(2026, 6, 30)),
        (timedelta, 60, timedelta(seconds=60)),
        (Path, "/tmp", Path("/tmp")),
        (UUID, "0197a3c2-6f1e-7b44-9c1d-2a5e8f3b7d10", UUID("0197a3c2-6f1e-7b44-9c1d-2a5e8f3b7d10")),
        (list[int], ["1", 2], [1, 2]),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (Colour, "red", Colour.RED),
        (Literal["a", "b"], "a", "a"),
        (int | None, None, None),
        (Point, {"x": "1"}, Point(x=1)),
        (Size, {"width": 3}, Size(3)),
        (Annotated[int, pydantic.Field(gt=0)], "7", 7),
        (Any, "anything", "anything"),
        ("int", "5", 5),
    ],
)
def test_a_value_becomes_what_the_author_wrote(annotation: Any, given: Any, expected: Any, record: Record) -> None:
    def main(value):  # type: ignore[no-untyped-def]
        return value

    main.__annotations__["value"] = annotation
    result = flow(main)(given)
    assert result == expected
    assert type(result) is type(expected)


def test_values_that_fit_are_handed_on_as_they_are(record: Record) -> None:
    class Own: ...

    model, own = Point(x=1), Own()

    @flow
    def main(model: Point, own: Own, text: str, untyped) -> Any:  # type: ignore[no-untyped-def]
        return model, own, text, untyped

    result = main(model, own, "text", own)
    assert all(a is b for a, b in zip(result, (model, own, "text", own), strict=True))


def test_each_parameter_that_does_not_fit_is_named(record: Record) -> None:
    ran: list[int] = []

    @flow
    def main(number: int, when: date, point: Point, fine: str = "fine") -> None:
        ran.append(1)

    with pytest.raises(ParameterTypeError) as raised:
        main("five", "someday", {"x": "left"})  # type: ignore[arg-type]
    assert isinstance(raised.value, ValueError)
    text = str(raised.value)
    for part in ("'main'", "number", "'five'", "when", "'someday'", "point.x", "'left'"):
        assert part in text
    assert "fine" not in text
    assert "pydantic.dev" not in text
    assert not ran
    run = record.flow_run()
    assert names(run)[-1] == "Failed"
    assert "Running" not in names(run)
    assert "number" in (run.state.message or "")
    assert run.parameters["number"] == "'five'"


def test_a_flow_that_was_refused_gives_its_state(record: Record) -> None:
    @flow(retries=3)
    def main(number: int) -> None: ...

    state = main("five", return_state=True)
    assert state.is_failed()
    with pytest.raises(ParameterTypeError):
        state.result()
    assert names(record.flow_run()).count("Failed") == 1


def test_a_subflow_that_was_refused_fails_its_parent(record: Record) -> None:
    @flow
    def below(number: int) -> None: ...

    @flow
    def above() -> None:
        below("five")  # type: ignore[arg-type]

    with pytest.raises(ParameterTypeError):
        above()
    assert [run.state_name for run in record.flow_runs()] == ["Failed", "Failed"]


def test_an_asynchronous_flow_is_checked_too(record: Record) -> None:
    @flow
    async def main(number: int) -> int:
        return number

    assert asyncio.run(main("5")) == 5  # type: ignore[arg-type]
    with pytest.raises(ParameterTypeError):
        asyncio.run(main("five"))  # type: ignore[arg-type]


def test_who_does_not_want_to_be_checked_is_not(record: Record) -> None:
    @flow(validate_parameters=False)
    def main(number: int) -> Any:
        return number

    assert main("five") == "five"  # type: ignore[arg-type]


def test_starred_parameters_are_checked_one_by_one(record: Record) -> None:
    @flow
    def main(*numbers: int, **more: float) -> Any:
        return numbers, more

    assert main("1", 2, a="3") == ((1, 2), {"a": 3.0})  # type: ignore[arg-type]
    with pytest.raises(ParameterTypeError, match="numbers"):
        main(1, "two")  # type: ignore[arg-type]


def test_a_default_is_the_authors_own_affair(record: Record) -> None:
    @flow
    def main(number: int = None) -> Any:  # type: ignore[assignment]  # noqa: RUF013
        return number

    assert main() is None


def test_an_annotation_that_cannot_be_evaluated_is_not_checked(record: Record) -> None:
    @flow
    def main(value: NoSuchName, number: int) -> Any:  # type: ignore[name-defined]  # noqa: F821
        return value, number

    assert main(1, 2) == (1, 2)


def test_a_parameter_named_like_something_of_pydantics_is_no_trouble(record: Record) -> None:
    @flow
    def main(model_config: int, schema: int, validate: int, copy: int, json: int) -> int:
        return model_config + schema + validate + copy + json

    assert main("1", "1", "1", "1", "1") == 5  # type: ignore[arg-type]


def test_tasks_take_what_they_are_given(record: Record) -> None:
    @task
    def work(number: int) -> Any:
        return number

    assert work("five") == "five"  # type: ignore[arg-type]


def test_pydantic_is_only_imported_where_a_glance_is_not_enough(programs: Programs) -> None:
    done = programs.run("""
        import sys
        from penstock import flow

        @flow
        def main(number: int, text: str = "x", flag: bool = True):
            return number

        main(5)
        assert "pydantic" not in sys.modules
        main("5")
        assert "pydantic" in sys.modules
    """)
    assert done.code == 0, done.stderr
