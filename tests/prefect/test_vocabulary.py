"""Code as it is written for Prefect 2 and 3: what it awaits, how it finds runs, how it deploys."""

from __future__ import annotations

from pathlib import Path

from .conftest import Record, Script

OLDER = ("-m", "penstock", "run", "--prefect", "--rules", "2")


def test_coroutines_await_what_others_call(script: Script, record: Record) -> None:
    body = """
        from prefect import flow, task, get_client
        from prefect.artifacts import create_markdown_artifact
        from prefect.blocks.system import Secret, String
        from prefect.variables import Variable
        from prefect import variables

        def called():
            Secret(value="hush").save("one", overwrite=True)
            Variable.set("rows", 5, overwrite=True)
            create_markdown_artifact("# hi", key="a")
            return Secret.load("one").get(), Variable.get("rows"), variables.get("none", default=7)

        @flow
        def calls():
            return called()

        @flow
        async def awaits():
            await String(value="text").save("two", overwrite=True)
            await create_markdown_artifact("# hi", key="b")
            return (await String.load("two")).value, await Variable.get("rows"), await variables.get("none", default=8)

        import asyncio
        print(called() == ("hush", 5, 7), calls() == ("hush", 5, 7), asyncio.run(awaits()))
    """
    ended = script(body)

    assert ended.out == "True True ('text', 5, 8)\n", ended.err
    assert len(record.rows("SELECT id FROM artifact")) == 3


def test_futures_of_prefect_2(script: Script) -> None:
    ended = script(
        """
        import asyncio
        from prefect import flow, task
        from prefect.task_runners import ConcurrentTaskRunner, SequentialTaskRunner

        @task
        async def double(x):
            return 2 * x

        @task
        def fails():
            raise ValueError("no")

        @flow(task_runner=ConcurrentTaskRunner())
        async def awaits():
            future = await double.submit(21)
            state = await future.wait()
            many = await double.map([1, 2])
            bad = await fails.submit()
            return [await future.result(), state.name, [await each.result() for each in many],
                    type(await bad.result(raise_on_failure=False)).__name__, (await bad.get_state()).name,
                    await state.result(fetch=True)]

        @flow(task_runner=SequentialTaskRunner())
        def calls():
            future = fails.submit()
            return [future.wait().name, future.get_state().name]

        print(asyncio.run(awaits()), calls())
        """,
        command=OLDER,
    )

    assert ended.out == "[42, 'Completed', [2, 4], 'ValueError', 'Failed', 42] ['Failed', 'Failed']\n", ended.err


def test_deployments_of_prefect_2(script: Script, record: Record) -> None:
    ended = script(
        """
        from datetime import timedelta
        from prefect import flow
        from prefect.deployments import Deployment
        from prefect.orion.schemas.schedules import CronSchedule, IntervalSchedule

        @flow
        def main(day: str = "today"): ...

        made = Deployment.build_from_flow(
            flow=main, name="nightly", version="1", work_queue_name="default", tags=["a"],
            parameters={"day": "monday"}, schedule=CronSchedule(cron="0 3 * * *", timezone="Europe/Berlin"),
        )
        print(type(made.apply()).__mro__[1].__name__, made.name)
        Deployment.build_from_flow(main, "often", schedule=IntervalSchedule(interval=timedelta(hours=6)), apply=True)
        try:
            Deployment.build_from_flow(main, "x", infrastructure=object())
        except ImportError as error:
            print(error)
        """
    )

    assert ended.out.splitlines() == [
        "UUID nightly",
        "build_from_flow(infrastructure=...) is not offered by Penstock; name a work pool: work_pool_name= "
        "(docs/infrastructure.md).",
    ], ended.err
    assert sorted(record.rows("SELECT name FROM deployment")) == [("nightly",), ("often",)]


def test_deployments_are_awaited_or_not(script: Script) -> None:
    ended = script("""
        import asyncio
        from prefect import flow
        from prefect.deployments import Deployment

        @flow
        def main(): ...

        async def deploys():
            first = await Deployment.build_from_flow(main, "one")
            second = Deployment.build_from_flow(main, "two")
            third = await main.to_deployment("three")
            return [type(await first.apply()).__name__, second.apply() is not None, third.name]

        print(asyncio.run(deploys()))
    """)

    assert ended.out == "['UUID', True, 'three']\n", ended.err


def test_clients_find_runs_by_prefects_filters(script: Script) -> None:
    ended = script("""
        import asyncio
        from prefect import flow, task, get_client
        from prefect.client.schemas.filters import (
            FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, LogFilter
        )
        from prefect.client.schemas.objects import StateType
        from prefect.client.schemas.sorting import FlowRunSort

        @task
        def loads():
            print("loading")

        @flow(log_prints=True)
        def good():
            loads()

        @flow
        def bad():
            raise ValueError

        good(); bad(return_state=True)

        async def reads():
            async with get_client() as client:
                failed = await client.read_flow_runs(
                    flow_run_filter=FlowRunFilter(
                        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.FAILED]))
                    ),
                    sort=FlowRunSort.START_TIME_DESC, limit=5,
                )
                named = await client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=["good"])))
                completed = FlowRunFilter(state={"name": {"any_": ["Completed"]}})
                by_dict = await client.read_flow_runs(flow_run_filter=completed)
                tasks = await client.read_task_runs(flow_run_filter=FlowRunFilter(id={"any_": [named[0].id]}))
                lines = await client.read_logs(LogFilter(flow_run_id={"any_": [named[0].id]}, level={"ge_": 20}))
                print([run.flow_name for run in failed], [run.flow_name for run in named], len(by_dict),
                      [run.name for run in tasks], "loading" in [line.message for line in lines])
                for wrong in (dict(sort="NAME_ASC"), dict(offset=3), dict(flow_filter=FlowFilter(id={"any_": []}))):
                    try:
                        await client.read_flow_runs(**wrong)
                    except ImportError as error:
                        print(error)

        asyncio.run(reads())
        with get_client(sync_client=True) as client:
            print(len(client.read_flow_runs()))
            try:
                FlowRunFilter(state={"type": {"not_any_": ["FAILED"]}})
            except ImportError as error:
                print(error)
            try:
                client.read_automations()
            except AttributeError as error:
                print(error)
    """)

    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [
        "['bad'] ['good'] 1 ['loads-0'] True",
        "sort=NAME_ASC is not offered by Penstock; runs come newest first.",
        "offset= is not offered by Penstock; the nearest is client.iter_flow_runs().",
        "FlowFilter.id is not offered by Penstock; the nearest is FlowFilter.name.",
        "2",
        "FlowRunFilterStateType: Unexpected keyword argument 'not_any_'. Runs are found by what RunFilter has.",
        "get_client() has no 'read_automations' here: docs/client.md lists what it has, docs/rest.md what a server "
        "answers.",
    ]


def test_tests_use_the_harness(script: Script, record: Record) -> None:
    ended = script("""
        from prefect import flow
        from prefect.testing.utilities import prefect_test_harness
        from prefect.logging import disable_run_logger

        @flow
        def main():
            return 42

        with prefect_test_harness(server_startup_timeout=60):
            assert main() == 42
        with disable_run_logger():
            assert main.fn() == 42
    """)

    assert ended.code == 0, ended.err
    assert not (record.home / "penstock.db").exists()


def test_a_run_is_waited_for(script: Script) -> None:
    ended = script("""
        import asyncio
        from prefect import flow
        from prefect.flow_runs import wait_for_flow_run

        @flow
        def main():
            return 42

        run_id = None

        @flow
        def remembers():
            from prefect.context import get_run_context
            global run_id
            run_id = get_run_context().flow_run.id

        remembers()
        print(asyncio.run(wait_for_flow_run(run_id, log_states=True)).state.name)
    """)

    assert ended.out.splitlines()[-1] == "Completed", ended.err


def test_a_folder_is_a_block_and_holds_results(script: Script, tmp_path: Path) -> None:
    ended = script(
        """
        import asyncio, sys
        from prefect import flow, task
        from prefect.filesystems import LocalFileSystem

        storage = LocalFileSystem(basepath=sys.argv[1])
        storage.save("mine", overwrite=True)

        @task(persist_result=True, result_storage=storage, result_storage_key="answer")
        def answers():
            return 42

        @flow
        async def writes():
            mine = await LocalFileSystem.load("mine")
            await mine.write_path("a/b.txt", b"text")
            return await mine.read_path("a/b.txt")

        answers()
        print(asyncio.run(writes()))
        try:
            storage.write_path("../outside", b"")
        except ValueError as error:
            print(error)
        """,
        str(tmp_path / "results"),
    )

    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[0] == "b'text'"
    assert "is not within the folder" in ended.out
    assert (tmp_path / "results" / "answer").exists()


def test_a_flow_that_returns_futures_gives_their_states(script: Script) -> None:
    ended = script("""
        from prefect import flow, task

        @task
        def one(): return 1

        @task
        def bad(): raise ValueError("no")

        @flow
        def single(): return one.submit()

        @flow
        def several(): return one(return_state=True), bad(return_state=True)

        @flow
        def mixed(): return {"a": one.submit(), "b": [2]}

        print(single().result(), mixed()["a"].result())
        state = several(return_state=True)
        first, second = state.result(raise_on_failure=False)
        print(first.name, second.name, state.name)
        of = first.state_details
        print(of.task_run_id is not None, of.flow_run_id, state.state_details.flow_run_id)
        try:
            several()
        except ValueError as error:
            print(error)
    """)

    values, names, ids, raised = ended.out.splitlines()
    assert (values, names, raised) == ("1 1", "Completed Failed Failed", "no")
    is_there, above, own = ids.split()
    assert (is_there, above) == ("True", own)


def test_states_are_awaited_in_coroutines(script: Script) -> None:
    ended = script("""
        import asyncio
        from prefect import flow, task
        from prefect.states import get_state_exception

        @task
        async def later(): return 5

        @task
        def bad(): raise ValueError("no")

        @flow
        async def awaits():
            state, failed = await later(return_state=True), bad(return_state=True)
            error = await failed.result(raise_on_failure=False)
            return [await state.result(), error, await get_state_exception(failed)]

        print(asyncio.run(awaits()))
        print(later.submit().result())
    """)

    assert ended.out == "[5, ValueError('no'), ValueError('no')]\n5\n", ended.err


def test_by_the_rules_of_2_a_synchronous_flow_has_the_value_of_a_coroutine(script: Script) -> None:
    ended = script(
        """
        import asyncio
        from prefect import flow, task

        @task
        async def slow():
            await asyncio.sleep(0.1)
            return 1

        @flow
        async def below(): return await slow()

        @flow
        def calls(): return [slow(), below()]

        @flow
        async def awaits():
            future = await slow.submit()
            return await future.result()

        print(calls(), asyncio.run(awaits()))
        """,
        command=OLDER,
    )

    assert ended.out == "[1, 1] 1\n", ended.err


def test_a_cache_policy_of_ones_own_is_called_as_prefect_calls_it(script: Script) -> None:
    ended = script("""
        from prefect import flow, task
        from prefect.cache_policies import CachePolicy, Inputs

        class Own(CachePolicy):
            def compute_key(self, task_ctx, inputs, flow_parameters, **kwargs):
                return f"{task_ctx.task.name}-{inputs['x']}-{flow_parameters['day']}"

        @task(cache_policy=Own(), persist_result=True)
        def load(x): print("loading", x); return x

        @flow
        def main(day): return load(1), load(1)

        print(main("monday"), Inputs(exclude=["debug"]))
    """)

    assert ended.out.count("loading") == 1, ended.err


def test_what_prefect_3_awaits_by_another_name(script: Script) -> None:
    ended = script("""
        import asyncio
        from prefect import flow
        from prefect.blocks.system import Secret
        from prefect.variables import Variable

        @flow
        async def main():
            await Secret(value="hush").asave("one", overwrite=True)
            await Variable.aset("rows", 5, overwrite=True)
            loaded = await Secret.aload("one")
            await Variable.aunset("none")
            return loaded.get(), await Variable.aget("rows")

        print(asyncio.run(main()))
    """)

    assert ended.out == "('hush', 5)\n", ended.err


def test_options_of_deployments_that_mean_nothing_here_are_taken(script: Script) -> None:
    ended = script("""
        from datetime import datetime
        from prefect import flow, quote, unmapped
        from prefect.client.schemas.schedules import IntervalSchedule

        @flow
        def main(): ...

        made = main.to_deployment("one", interval=60, is_schedule_active=False, entrypoint_type=None)
        print(made.name, IntervalSchedule(interval=60, anchor_date=datetime(2026, 1, 1)).anchor_date.tzinfo)
        print(flow.from_source.__name__, __file__.startswith("/"))
    """)

    assert ended.out == "one UTC\nfrom_source True\n", ended.err


def test_asking_whether_something_is_there_is_answered(script: Script) -> None:
    ended = script("""
        import importlib.util
        import prefect

        print(hasattr(prefect, "nothing"), hasattr(prefect, "flow"), importlib.util.find_spec("prefect_aws"))
    """)

    assert ended.out == "False True None\n", ended.err
