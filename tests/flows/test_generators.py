"""Generators: what they yield is handed on as it comes, and their end is the run's end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from penstock import flow, task
from penstock.runtime import task_run

from .kit import Programs, Record, names


def test_items_are_handed_on_as_they_are_yielded(record: Record) -> None:
    made: list[int] = []

    @task
    def counts(to: int) -> Iterator[int]:
        for number in range(to):
            made.append(number)
            yield number

    @flow
    def main() -> list[int]:
        seen = []
        for item in counts(3):
            assert made[-1] == item
            seen.append(item)
        return seen

    assert main() == [0, 1, 2]
    assert names(record.task_run()) == ["Pending", "Running", "Completed"]


def test_a_flow_may_be_a_generator(record: Record) -> None:
    @task
    def double(number: int) -> int:
        return number * 2

    @flow
    def doubles() -> Iterator[int]:
        yield double(1)
        yield double(2)

    iterator = doubles()
    assert next(iterator) == 2
    assert record.flow_run().state_name == "Running"
    assert list(iterator) == [4]
    assert record.flow_run().state_name == "Completed"


def test_a_generator_that_nobody_iterates_does_not_run(record: Record) -> None:
    ran: list[int] = []

    @task
    def lazy() -> Iterator[int]:
        ran.append(1)
        yield 1

    lazy()
    assert not ran


def test_what_is_sent_in_reaches_the_generator(record: Record) -> None:
    @task
    def echo() -> Generator[Any, Any, None]:
        got = yield "ready"
        while got is not None:
            got = yield f"got {got}"

    generator: Any = echo()
    assert next(generator) == "ready"
    assert generator.send(1) == "got 1"
    assert generator.send(2) == "got 2"
    with pytest.raises(StopIteration):
        generator.send(None)


def test_what_is_thrown_in_reaches_the_generator(record: Record) -> None:
    @task
    def catches() -> Generator[str, Any, None]:
        try:
            yield "first"
        except KeyError as error:
            yield f"caught {error!r}"

    generator: Any = catches()
    next(generator)
    assert generator.throw(KeyError("x")) == "caught KeyError('x')"
    generator.close()
    assert record.task_run().state_name == "Completed"


def test_who_stops_early_has_what_he_wanted_and_the_generator_cleans_up(record: Record) -> None:
    cleaned: list[str] = []

    @task
    def endless() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            cleaned.append(task_run.name)

    @flow
    def main() -> int:
        generator: Any = endless()
        for item in generator:
            if item == 3:
                break
        generator.close()
        return item

    assert main() == 3
    assert cleaned == ["endless-0"], "it cleans up in its own run"
    assert record.task_run().state_name == "Completed"


def test_a_generator_that_is_forgotten_is_closed_too(record: Record) -> None:
    import gc

    @task
    def endless() -> Iterator[int]:
        while True:
            yield 1

    @flow
    def main() -> None:
        next(iter(endless()))
        gc.collect()

    main()
    assert record.task_run().state.is_final()


def test_a_generator_that_fails_is_failed_where_it_stands(record: Record) -> None:
    @task
    def breaks() -> Iterator[int]:
        yield 1
        raise ValueError("boom")

    seen = []
    with pytest.raises(ValueError, match="boom"):  # noqa: PT012
        for item in breaks():
            seen.append(item)
    assert seen == [1]
    assert record.task_run().state_name == "Failed"


def test_the_consumers_code_is_not_in_the_generators_run(record: Record) -> None:
    @task
    def counts() -> Iterator[str]:
        yield task_run.name
        yield task_run.name

    @flow
    def main() -> list[Any]:
        return [(inside, task_run.name) for inside in counts()]

    assert main() == [("counts-0", None), ("counts-0", None)]


def test_generators_may_be_consumed_in_turns(record: Record) -> None:
    @task
    def counts(start: int) -> Iterator[tuple[int, str]]:
        for number in range(start, start + 3):
            yield number, task_run.name

    @flow
    def main() -> list[Any]:
        return list(zip(counts(0), counts(10), strict=True))

    assert main() == [((n, "counts-0"), (n + 10, "counts-1")) for n in range(3)]


def test_a_submitted_generator_gives_a_list(record: Record) -> None:
    @task
    def counts(to: int) -> Iterator[int]:
        yield from range(to)

    @task
    async def counts_async(to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @flow
    def main() -> Any:
        return counts.submit(3).result(), counts_async.submit(2).result()

    assert main() == ([0, 1, 2], [0, 1])


def test_an_asynchronous_generator_is_handed_on_as_it_comes(record: Record) -> None:
    @task
    async def counts(to: int) -> AsyncIterator[int]:
        for number in range(to):
            await asyncio.sleep(0)
            yield number

    @flow
    async def doubles() -> AsyncIterator[int]:
        async for item in counts(3):
            yield item * 2

    async def program() -> list[int]:
        return [item async for item in doubles()]

    assert asyncio.run(program()) == [0, 2, 4]
    assert record.flow_run().state_name == "Completed"
    assert record.task_run().state_name == "Completed"


def test_an_asynchronous_generator_that_is_closed_early_cleans_up(record: Record) -> None:
    cleaned: list[str] = []

    @task
    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            cleaned.append("clean")

    @flow
    async def main() -> str:
        async with aclosing(endless()) as items:  # type: ignore[type-var]
            async for _ in items:
                break
        return "done"

    assert asyncio.run(main()) == "done"
    assert cleaned == ["clean"]
    assert record.task_run().state_name == "Completed"


def test_an_asynchronous_generator_that_fails_is_failed(record: Record) -> None:
    @task
    async def breaks() -> AsyncIterator[int]:
        yield 1
        raise ValueError("boom")

    @flow
    async def main() -> None:
        async for _ in breaks():
            pass

    with pytest.raises(ValueError, match="boom"):
        asyncio.run(main())
    assert record.task_run().state_name == "Failed"
    assert record.flow_run().state_name == "Failed"


def test_a_generator_is_tried_again_from_its_beginning(record: Record) -> None:
    attempts: list[int] = []

    @task(retries=1)
    def flaky() -> Iterator[int]:
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError
        yield len(attempts)

    assert list(flaky()) == [2]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_generator_whose_items_were_handed_on_is_not_tried_again(asynchronous: bool, record: Record) -> None:
    """They cannot be taken back, and would come twice."""
    attempts: list[int] = []
    seen: list[int] = []

    @task(retries=2)
    def breaks() -> Iterator[int]:
        attempts.append(1)
        yield len(attempts)
        raise ValueError("boom")

    @task(retries=2)
    async def breaks_async() -> AsyncIterator[int]:
        attempts.append(1)
        yield len(attempts)
        raise ValueError("boom")

    async def consume() -> None:
        async for item in breaks_async():
            seen.append(item)

    with pytest.raises(ValueError, match="boom"):  # noqa: PT012
        if asynchronous:
            asyncio.run(consume())
        else:
            for item in breaks():
                seen.append(item)
    assert (seen, attempts) == ([1], [1])
    assert names(record.task_run()) == ["Pending", "Running", "Failed"]


def test_a_program_ends_though_a_generator_is_left_in_its_middle(programs: Programs, record: Record) -> None:
    done = programs.run(
        """
        from penstock import task

        @task
        def endless():
            while True:
                yield 1

        left = endless()
        print(next(left))
        """,
        timeout=10,
    )
    assert (done.code, done.stdout) == (0, "1\n"), done.stderr
    assert record.task_run().state.is_final()
