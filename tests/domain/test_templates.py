"""Job templates: filled with values of the right type, and nothing in them is evaluated."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.domain.templates import check, filled
from penstock.exceptions import WorkPoolError

TEMPLATE: dict[str, Any] = {
    "job_configuration": {
        "image": "{{ image }}",
        "cpus": "{{ cpus }}",
        "name": "run-{{ name }}-{{ cpus }}",
        "env": "{{ env }}",
        "list": ["{{ image }}", "{{ missing }}", "fixed"],
        "missing": "{{ missing }}",
    },
    "variables": {
        "properties": {
            "image": {"type": "string"},
            "cpus": {"type": "integer", "default": 2},
            "name": {"type": "string", "default": "x"},
            "env": {"type": "object", "additionalProperties": {"type": "string"}, "default": {}},
            "missing": {"type": "string"},
            "policy": {"enum": ["Always", "Never"]},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "size": {"$ref": "#/definitions/Size"},
            "many": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["image"],
        "definitions": {"Size": {"type": "number"}},
    },
}


def test_a_whole_value_keeps_its_type_and_what_has_none_is_left_out() -> None:
    assert filled(TEMPLATE, {"image": "python:3.12", "env": {"A": "1"}}, of="p") == {
        "image": "python:3.12",
        "cpus": 2,
        "name": "run-x-2",
        "env": {"A": "1"},
        "list": ["python:3.12", "fixed"],
    }


def test_what_a_value_contains_is_not_looked_at() -> None:
    made = filled(TEMPLATE, {"image": "{{ cpus }}", "name": "{{ image }}"}, of="p")
    assert (made["image"], made["name"]) == ("{{ cpus }}", "run-{{ image }}-2")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "The template of p needs a variable 'image', which has no value"),
        ({"image": 5}, "Variable 'image' of the template of p is string, not integer: 5"),
        ({"image": "x", "cpus": True}, "'cpus' of the template of p is integer, not boolean: true"),
        ({"image": "x", "env": {"A": 1}}, "has a 'A' that is string, not integer"),
        ({"image": "x", "imgae": "y"}, "has no variable 'imgae'; it has: cpus, either"),
        ({"image": "x", "policy": "Often"}, 'is one of "Always", "Never", not "Often"'),
        ({"image": "x", "size": "big"}, "is number, not string"),
        ({"image": "x", "either": 5}, "is string or null, not integer"),
        ({"image": "x", "many": [1, "2"]}, "has an item 1 that is integer, not string"),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkPoolError) as caught:
        filled(TEMPLATE, given, of="p")
    assert message in str(caught.value)


def test_a_variable_that_is_not_described_is_no_variable() -> None:
    template = {"job_configuration": {"a": "{{ b }}"}, "variables": {"properties": {}}}
    with pytest.raises(WorkPoolError, match="names a variable 'b'"):
        check(template, of="p")
    with pytest.raises(WorkPoolError, match="names a variable 'b'"):
        filled(template, {}, of="p")


def test_an_environment_variable_may_be_none() -> None:
    assert filled(TEMPLATE, {"image": "x", "env": {"A": None}}, of="p")["env"] == {"A": None}
