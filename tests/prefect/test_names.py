"""Each name that is offered is there; each that is not says so, with the line and what is nearest."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import penstock
from penstock.moving import names
from penstock.settings import SETTINGS

from .conftest import Script


def test_every_name_of_the_table_is_there(script: Script) -> None:
    ended = script("""
        import importlib
        from penstock.moving import names

        count = 0
        for module, offered in names.NAMES.items():
            found = importlib.import_module(module)
            for name in offered:
                assert getattr(found, name) is not None
                count += 1
        print(count)
    """)

    assert ended.code == 0, ended.err
    assert int(ended.out) > 250


def test_submodules_are_attributes_and_names_of_both_versions_are_one_thing(script: Script) -> None:
    ended = script("""
        import prefect
        import prefect.runtime.flow_run
        from prefect.orion.schemas.states import Completed
        from prefect.engine import pause_flow_run
        import penstock

        assert prefect.flow is penstock.flow
        assert prefect.states.Completed is Completed
        assert prefect.pause_flow_run is pause_flow_run
        assert prefect.context.get_run_context is penstock.get_run_context
        assert prefect.runtime.flow_run.id is None
        assert prefect.__version__.startswith("3.")
        assert "task" in dir(prefect)
        assert not hasattr(prefect, "_private")
    """)

    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        ("from prefect.filesystems import S3", "result_storage"),
        ("from prefect.transactions import transaction", "cache_policy"),
        ("from prefect.task_runners import PrefectTaskRunner", "ProcessPoolTaskRunner"),
        ("from prefect.infrastructure import KubernetesJob", "work pool"),
        ("from prefect.blocks.kubernetes import KubernetesClusterConfig", "Block of your own"),
        ("import prefect_aws", "boto3"),
        ("from prefect_dask import PrefectDaskClient", "nothing here does the same"),
        ("from prefect.settings import PREFECT_AGENT_QUERY_INTERVAL", "nothing here does the same"),
        ("from prefect import NoSuchName", "nothing here does the same"),
        ("import prefect.nosuchmodule", "nothing here does the same"),
    ],
)
def test_what_is_not_offered_is_said_in_one_sentence_with_the_line(script: Script, line: str, nearest: str) -> None:
    ended = script(f"import sys\n\n{line}\n")

    assert ended.code == 1
    (said,) = ended.err.splitlines()
    assert said.startswith("Error: ")
    assert "script.py:3: prefect" in said
    assert " is not offered by Penstock; " in said
    assert nearest in said


def test_code_that_can_do_without_may_catch_it(script: Script) -> None:
    ended = script("""
        try:
            from prefect.filesystems import S3
        except ImportError as error:
            print(type(error).__name__)
    """)

    assert ended.out == "NameNotOffered\n"


def test_a_star_gives_what_is_offered_and_says_so(script: Script) -> None:
    ended = script("from prefect import *\n\nprint(flow, task)\n")

    assert ended.code == 0
    assert "script.py:1: from prefect import * gives what Penstock offers of it" in ended.err


def test_what_is_nearest_exists() -> None:
    """Names of ours in the advice are names of ours."""
    said = " ".join([*names.MISSING.values(), *names.INTEGRATIONS.values()])
    ours = {word.strip("(),:;`") for word in said.split() if word.strip("(`").startswith("penstock.")}
    for dotted in ours:
        module, _, name = dotted.rpartition(".")
        if importlib.util.find_spec(dotted if module == "penstock" and dotted not in dir(penstock) else module):
            found = importlib.import_module(module)
            assert hasattr(found, name) or importlib.util.find_spec(dotted)
    pages = {word.strip("();,") for word in said.split() if "docs/" in word}
    assert pages
    for page in pages:
        assert (Path(__file__).parents[2] / page.strip("()")).exists(), page


def test_settings_that_are_renamed_are_settings() -> None:
    assert set(names.SETTINGS.values()) <= set(SETTINGS)
    assert names.setting_of("PREFECT_API_URL") == "PENSTOCK_API_URL"


def test_no_name_is_offered_and_missing() -> None:
    offered = {f"{module}.{name}" for module, found in names.NAMES.items() for name in found}
    assert not offered & names.MISSING.keys()
