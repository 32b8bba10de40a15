"""Whose values went into a run: the edges of the graph."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from penstock import allow_failure, flow, quote, task, unmapped

from .kit import Record


class Table:
    """An object that can be followed."""


@task
def make() -> Any:
    return Table()


@task
def listed() -> list[int]:
    return [1, 2, 3]


@task
def text() -> str:
    return "a text that nobody else has"


@task
def none() -> None: ...


@task
def use(value: Any = None, *more: Any, other: Any = None) -> Any:
    return value


def upstream(record: Record, place: int = 0) -> dict[str, list[str]]:
    """By names instead of ids."""
    known = {run.id: run.name for run in (*record.task_runs(), *record.flow_runs("below"))}
    links = record.task_runs("use")[place].upstream
    return {name: [known.get(id, "?") for id in ids] for name, ids in links.items()}


def test_futures_are_linked_by_the_parameter_they_are_in(record: Record) -> None:
    @flow
    def main() -> None:
        one, two = make.submit(), listed.submit()
        use.submit(one, other={"deep": [two, allow_failure(one)]}).wait()
        use(one)

    main()
    assert {key: sorted(names) for key, names in upstream(record).items()} == {
        "value": ["make-0"],
        "other": ["listed-0", "make-0"],
    }
    assert upstream(record, 1) == {"value": ["make-0"]}


def test_what_is_waited_for_is_linked_too(record: Record) -> None:
    @flow
    def main() -> None:
        use(wait_for=[make.submit(), listed.submit()])

    main()
    assert upstream(record) == {"wait_for": ["make-0", "listed-0"]}


def test_plain_values_handed_on_are_linked(record: Record) -> None:
    @flow
    def main() -> None:
        use(make())
        use(listed(), other=text())
        use([make(), make()])
        use(make.submit().result())

    main()
    assert upstream(record, 0) == {"value": ["make-0"]}
    assert upstream(record, 1) == {"value": ["listed-0"], "other": ["text-0"]}
    assert upstream(record, 2) == {"value": ["make-1", "make-2"]}
    assert upstream(record, 3) == {"value": ["make-3"]}


def test_an_equal_value_of_somebody_else_is_not_linked(record: Record) -> None:
    @flow
    def main() -> None:
        listed()
        use([1, 2, 3])
        none()
        use(None)
        use("".join(["a text that nobody", " else has"]))

    main()
    assert [upstream(record, place) for place in range(3)] == [{}, {}, {}]


def test_quoted_values_are_left_alone(record: Record) -> None:
    @flow
    def main() -> None:
        use(quote([make.submit()]))

    main()
    assert upstream(record) == {}


def test_mapped_runs_are_linked_to_their_own_item(record: Record) -> None:
    @flow
    def main() -> None:
        shared = make.submit()
        use.map(use.map([10**6, 10**7]), other=unmapped(shared)).wait()

    main()
    runs = {run.name: run for run in record.task_runs("use")}
    shared = record.task_run("make").id
    assert [runs[name].upstream for name in ("use-2", "use-3")] == [
        {"value": (runs["use-0"].id,), "other": (shared,)},
        {"value": (runs["use-1"].id,), "other": (shared,)},
    ]


def test_a_subflows_value_is_the_subflows(record: Record) -> None:
    @flow
    def below() -> Any:
        return make()

    @flow
    def above() -> None:
        use(below())

    above()
    assert upstream(record) == {"value": [record.flow_run("below").name]}


def test_links_keep_nobodys_objects_alive(record: Record) -> None:
    @flow
    def main() -> None:
        table = make()
        reference = weakref.ref(table)
        del table
        gc.collect()
        assert reference() is None

    main()


def test_an_object_in_the_place_of_one_that_is_gone_is_not_taken_for_it(record: Record) -> None:
    @flow
    def main() -> None:
        for _ in range(50):
            make()
            use(Table())

    main()
    assert all(not run.upstream for run in record.task_runs("use"))
