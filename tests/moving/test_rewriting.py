"""Imports and names are rewritten where that is certain; all else stays, and is listed with its line."""

from __future__ import annotations

import textwrap

import pytest

from penstock.moving import names
from penstock.moving.rewriting import rewrite


def moved(code: str) -> str:
    return rewrite(textwrap.dedent(code)).code


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from prefect import flow, task\n", "from penstock import flow, task\n"),
        ("from prefect import flow as f  # why\n", "from penstock import flow as f  # why\n"),
        ("from prefect.engine import pause_flow_run\n", "from penstock.flow_runs import pause_flow_run\n"),
        ("from prefect.orion.schemas.states import Failed\n", "from penstock.states import Failed\n"),
        ("from prefect.utilities.annotations import quote\n", "from penstock import quote\n"),
        ("import prefect\n\nprefect.flow\n", "import penstock\n\npenstock.flow\n"),
        ("import prefect.states as st\nst.Failed\n", "import penstock.states as st\nst.Failed\n"),
        ("import prefect, os\n", "import penstock, os\n"),
        ("import prefect\nimport prefect.context\n", "import penstock\n"),
        ("from prefect import runtime\nruntime.flow_run.id\n", "from penstock import runtime\nruntime.flow_run.id\n"),
        (
            "import prefect\nprefect.runtime.flow_run.id\nprefect.engine.pause_flow_run()\n",
            "import penstock\npenstock.runtime.flow_run.id\npenstock.flow_runs.pause_flow_run()\n",
        ),
        (
            "from prefect.futures import PrefectFuture\n\nlambda: PrefectFuture\n",
            "from penstock.futures import PenstockFuture as PrefectFuture\n\nlambda: PrefectFuture\n",
        ),
        (
            "from prefect.futures import PrefectFuture as F\n\nF\n",
            "from penstock.futures import PenstockFuture as F\n\nF\n",
        ),
        (
            "from prefect.settings import PREFECT_UI_URL\nPREFECT_UI_URL.value()\n",
            "from penstock.settings import PENSTOCK_UI_URL as PREFECT_UI_URL\nPREFECT_UI_URL.value()\n",
        ),
        (
            "from prefect.blocks.system import (\n    JSON,  # one\n    Secret,\n)\n",
            "from penstock.blocks.system import (\n    JSON,  # one\n    Secret,\n)\n",
        ),
        (
            "if True:\n    # both\n    from prefect import flow, quick, task\n",
            "if True:\n    # both\n    from penstock import flow, task\n    from prefect import quick\n",
        ),
        ("import os\nprefect = 5\nprefect.flow\n", "import os\nprefect = 5\nprefect.flow\n"),
        ("from .prefect import flow\n", "from .prefect import flow\n"),
        ("from prefect_dask import DaskTaskRunner\n", "from penstock.task_runners import DaskTaskRunner\n"),
        ("from prefect_dask.utils import get_dask_client\n", "from penstock.task_runners import get_dask_client\n"),
        ("from prefect_ray.context import remote_options\n", "from penstock.task_runners import remote_options\n"),
        (
            "def f():\n    import prefect\n    prefect.flow\ndef g():\n    import prefect\n    prefect.task\n",
            "def f():\n    import penstock\n    penstock.flow\ndef g():\n    import penstock\n    penstock.task\n",
        ),
        (
            "import prefect\nprefect.flow\nprefect.quick\n",
            "import prefect, penstock\npenstock.flow\nprefect.quick\n",
        ),
        ("import prefect\nprint(prefect)\nprefect.flow\n", "import prefect\nprint(prefect)\nprefect.flow\n"),
        ("if True: import prefect; x = prefect.flow\n", "if True: import penstock; x = penstock.flow\n"),
        (
            "if True: from prefect import flow, quick\n",
            "if True: from penstock import flow; from prefect import quick\n",
        ),
        (
            "import prefect.concurrency.sync\nprefect.concurrency.sync.concurrency\n",
            "import penstock\npenstock.concurrency.sync.concurrency\n",
        ),
        (
            "def f():\n    PrefectFuture = 1\n    return PrefectFuture\n",
            "def f():\n    PrefectFuture = 1\n    return PrefectFuture\n",
        ),
    ],
)
def test_what_is_certain_is_rewritten(before: str, after: str) -> None:
    assert moved(before) == after


@pytest.mark.parametrize(
    ("code", "line", "said"),
    [
        ("\nfrom prefect.filesystems import S3\n", 2, "prefect.filesystems.S3 is not offered; the nearest is a folder"),
        ("from prefect import *\n", 1, "name what is wanted"),
        ("import prefect_aws\n", 1, "boto3"),
        ("from prefect_dask import PrefectDaskClient\n", 1, "prefect_dask.PrefectDaskClient is not offered"),
        ("from prefect.deployments import Deployment\n", 1, "flow.to_deployment(name, ...).apply()"),
        ("from prefect.client.schemas.filters import FlowRunFilter\n", 1, "RunFilter"),
        ("from prefect import get_client\n", 1, "its filters are RunFilter"),
        ("import prefect\nprefect.transactions.transaction()\n", 2, "prefect.transactions.transaction is not offered"),
        ("import prefect\nprint(prefect)\n", 2, "nothing that goes by `prefect.` was changed"),
        ("import mock\nmock.patch('prefect.client.get_client')\n", 2, "It names prefect.client.get_client in a text"),
        ("import os\nos.environ['PREFECT_API_URL']\n", 2, "PREFECT_API_URL is PENSTOCK_API_URL here."),
        ("import logging\nlogging.getLogger('prefect.flow_runs')\n", 2, "'penstock.flow_runs' here"),
        (
            "from prefect.blocks.system import Secret\nasync def f():\n    await Secret.load('x')\n",
            3,
            "await …load(): Secret.load",
        ),
    ],
)
def test_what_is_not_certain_is_listed(code: str, line: int, said: str) -> None:
    findings = rewrite(code).findings

    assert [each.line for each in findings] == [line]
    assert said in findings[0].what


def test_what_a_person_must_replace_stays_as_it_is() -> None:
    code = "from prefect.deployments import Deployment, run_deployment\n"

    assert moved(code) == (
        "from penstock.deployments import run_deployment\nfrom prefect.deployments import Deployment\n"
    )


def test_code_that_has_nothing_to_do_with_it_is_the_same_text() -> None:
    code = "import os # \t \r\nx  =  1\n"

    assert rewrite(code).code is code


def test_what_is_rewritten_twice_is_rewritten_once() -> None:
    once = moved("from prefect import flow\nimport prefect\nprefect.task\n")

    assert rewrite(once).code == once


def test_every_name_that_is_here_for_prefects_code_only_has_advice() -> None:
    alone = {
        place
        for offered in names.NAMES.values()
        for place in offered.values()
        if place.module.startswith("penstock.prefect.")
    }
    for place in alone:
        moved_to, note = place.moved
        assert moved_to is not None or note
