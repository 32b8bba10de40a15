"""What a type checker sees of flows and tasks. Checked by test_typing.py, never run.

Lines with an expected error carry its `type: ignore`; the checker complains about one that is not needed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator, Iterator
from typing import Any, assert_type

from pydantic import SecretStr

from penstock import Flow, State, allow_failure, flow, get_run_context, get_run_logger, tags, task, unmapped
from penstock.blocks.core import Block
from penstock.blocks.system import Secret
from penstock.context import FlowRunContext, TaskRunContext
from penstock.futures import PenstockFuture, PenstockFutureList, as_completed, wait
from penstock.states import Completed
from penstock.variables import Variable


@task
def add(a: int, b: int = 0) -> int:
    return a + b


@task(retries=3, timeout_seconds=1.5, tags=["a"])
def shout(text: str, *, loud: bool = False) -> str:
    return text.upper()


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@task
def numbers(to: int) -> Generator[int, None, None]:
    yield from range(to)


@task
async def letters(text: str) -> AsyncGenerator[str, None]:
    for letter in text:
        yield letter


@flow
def main(day: str, count: int = 1) -> float:
    return 1.0


@flow(log_prints=True, name="other", task_runner=None)
async def other(x: int) -> str:
    return str(x)


@flow
def streams() -> Iterator[int]:
    yield 1


assert_type(add(1), int)
assert_type(add(1, b=2), int)
assert_type(shout("x", loud=True), str)
assert_type(main("today"), float)
assert_type(add.fn(1, 2), int)
assert_type(main.fn("today", count=2), float)
assert_type(streams(), Iterator[int])
assert_type(numbers(3), Generator[int, None, None])
assert_type(letters("abc"), AsyncGenerator[str, None])

add("one")  # type: ignore[call-overload]
add(c=1)  # type: ignore[call-overload]
shout("x", True)  # type: ignore[call-overload]
main(1)  # type: ignore[call-overload]
main()  # type: ignore[call-overload]
add.fn("one")  # type: ignore[arg-type]
add.submit("one")  # type: ignore[call-overload]
fetch.submit(5)  # type: ignore[call-overload]

# states
assert_type(add(1, return_state=True), State[int])
assert_type(main("today", return_state=True), State[float])
assert_type(add.submit(1, return_state=True), State[Any])
assert_type(add(1, wait_for=[add.submit(1)]), int)
assert_type(add(1, return_state=True).is_completed(), bool)
assert_type(Completed(message="x"), State[Any])

# futures
assert_type(add.submit(1), PenstockFuture[int])
assert_type(add.submit(1).result(), int)
assert_type(shout.submit("x").result(timeout=1), str)
assert_type(fetch.submit("x"), PenstockFuture[bytes])
assert_type(numbers.submit(1), PenstockFuture[list[int]])
assert_type(letters.submit("x"), PenstockFuture[list[str]])
assert_type(add.map([1, 2]), PenstockFutureList[int])
assert_type(add.map([1, 2], b=unmapped(1)).result(), list[int])
for done in as_completed([add.submit(1)]):
    assert_type(done, PenstockFuture[int])
wait([add.submit(1)], timeout=1).not_done.pop().wait()

# copies
assert_type(add.with_options(retries=1)(1), int)
assert_type(main.with_options(name="x")("today"), float)
add.with_options(retries=1)("one")  # type: ignore[call-overload]


async def asynchronous() -> None:
    assert_type(await fetch("x"), bytes)
    assert_type(await other(1), str)
    await other("one")  # type: ignore[call-overload]
    await fetch()  # type: ignore[call-overload]
    async for letter in letters("abc"):
        assert_type(letter, str)


def takes_flow(run: Flow[[int], Coroutine[Any, Any, str]]) -> None: ...


takes_flow(other)
takes_flow(main)  # type: ignore[arg-type]

# options
flow(timeout_seconds="soon")  # type: ignore[call-overload]
task(retries=1.5)  # type: ignore[call-overload]
task(no_such_option=1)  # type: ignore[call-overload]

# the rest
assert_type(get_run_context(), FlowRunContext | TaskRunContext)
get_run_logger().info("x %s", 1)
allow_failure(add.submit(1))
with tags("a", "b") as together:
    assert_type(together, set[str])


class Methods:
    @task
    def work(self, x: int) -> int:
        return x


# blocks and variables


class Database(Block):
    host: str
    password: SecretStr


assert_type(Secret(value="x").get(), str)
assert_type(Secret[str].load("x").get(), str)
assert_type(Database.load("x").host, str)
assert_type(Variable.unset("x"), bool)
assert_type(Variable.set("x", 1).name, str)
Database(password=SecretStr("x"))  # type: ignore[call-arg]
