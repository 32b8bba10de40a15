"""The types of infrastructure that there are: each has a template that holds, and says which package it wants."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.domain import templates
from penstock.exceptions import InfrastructureRefused
from penstock.infrastructure import drivers
from penstock.infrastructure.contract import Job

PACKAGES = {
    "docker": ("docker", "docker"),
    "kubernetes": ("kubernetes", "kubernetes"),
    "ecs": ("boto3", "ecs"),
    "cloud-run": ("google.auth", "cloud-run"),
    "azure-container-instances": ("azure.identity", "azure"),
}


@pytest.mark.parametrize("type_", drivers.TYPES)
def test_a_template_describes_all_that_it_names_and_is_filled_in(type_: str) -> None:
    template = drivers.template(type_)
    templates.check(template, of=type_)
    properties = template["variables"]["properties"]
    assert all(each.get("description") for each in properties.values())
    given = {"image": "i"} if "image" in properties else {}
    assert templates.filled(template, given, of=type_)


@pytest.mark.parametrize("type_", PACKAGES)
def test_a_package_that_is_not_installed_is_named_when_a_run_is_launched(
    type_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, extra = PACKAGES[type_]
    monkeypatch.setitem(sys.modules, package, None)
    for name in ("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_REGION", "AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP"):
        monkeypatch.setenv(name, "x")
    driver = drivers.make(type_, tmp_path)
    filled: Any = templates.filled(driver.base_job_template, {"image": "i"}, of=type_)
    job = Job(name="n", key="abc-1", command=("x",), env={}, labels={}, configuration=filled)
    with pytest.raises(InfrastructureRefused, match=rf"pip install 'penstock\[{extra}\]'"):
        driver.launch(job)


def test_a_type_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureRefused, match="no type of infrastructure 'moon'; there are: process, docker"):
        drivers.make("moon", tmp_path)


def test_every_type_that_needs_a_package_is_here() -> None:
    assert set(PACKAGES) == set(drivers.TYPES) - drivers.LOCAL
