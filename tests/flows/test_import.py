"""The front door is light: what a program does not use is not loaded."""

from __future__ import annotations

import pytest

import penstock

from .kit import Programs

HEAVY = (
    "asyncio",
    "logging",
    "pydantic",
    "msgspec",
    "apsw",
    "rich",
    "click",
    "cloudpickle",
    "inspect",
    "coolname",
    "cryptography",
)


def test_importing_flow_and_task_loads_nothing_heavy(programs: Programs) -> None:
    done = programs.run(f"""
        import sys
        before = set(sys.modules)
        from penstock import flow, task

        @task(retries=3, timeout_seconds=5, tags=["a"], log_prints=True)
        def work(): ...

        @flow(retries=1, timeout_seconds=60, log_prints=True, task_runner=None)
        def main(): ...

        print(*sorted({{name.partition(".")[0] for name in sys.modules}} & set({HEAVY!r})))
        print(len(set(sys.modules) - before))
    """)
    assert done.code == 0, done.stderr
    loaded, count = done.stdout.splitlines()
    assert loaded == "", f"loaded: {loaded}"
    assert int(count) < 60


def test_a_plain_flow_loads_neither_asyncio_nor_pydantic_nor_the_command_line(programs: Programs) -> None:
    done = programs.run("""
        import sys
        from penstock import flow, task

        @task
        def work(): ...

        @flow(log_prints=True)
        def main(x: int = 1):
            print("hello")
            work()

        main(5)
        print(*sorted({"asyncio", "pydantic", "rich", "click", "cloudpickle"} & set(sys.modules)))
    """)
    assert done.code == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""


def test_the_front_door_names_what_it_has(programs: Programs) -> None:
    for name in penstock.__all__:
        assert getattr(penstock, name) is not None
        assert name in dir(penstock)
    assert programs.run("from penstock import *; flow; task; State; tags").code == 0


def test_what_the_front_door_has_not_is_said_as_python_says_it() -> None:
    with pytest.raises(AttributeError, match=r"^module 'penstock' has no attribute 'nothing'$"):
        _ = penstock.nothing
