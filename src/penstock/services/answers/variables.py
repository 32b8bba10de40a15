"""Answers about variables."""

from __future__ import annotations

from msgspec import UNSET

from ...domain.errors import ObjectNotFound
from ...domain.variables import VariableRecord
from ...protocol import variables as asked
from ...protocol.operation import Count, Nothing, Page
from .. import variables
from ..desk import Desk, answers


@answers(asked.FILTER_VARIABLES)
def filter_variables(desk: Desk, query: asked.FilterVariables) -> Page[VariableRecord]:
    found = variables.list_variables(desk.store, query.limit, after=query.cursor)
    return Page(items=found, next=found[-1].name if len(found) == query.limit else None)


@answers(asked.COUNT_VARIABLES)
def count_variables(desk: Desk, _: Nothing) -> Count:
    return Count(variables.count(desk.store))


@answers(asked.CREATE_VARIABLE)
def create_variable(desk: Desk, query: asked.SetVariable) -> VariableRecord:
    return variables.save(desk.store, query.name, query.value, query.tags, overwrite=query.overwrite, now=desk.now())


@answers(asked.READ_VARIABLE)
def read_variable_by_name(desk: Desk, query: asked.VariableByName) -> VariableRecord:
    return variables.get(desk.store, query.name)


@answers(asked.UPDATE_VARIABLE)
def update_variable(desk: Desk, query: asked.UpdateVariable) -> VariableRecord:
    there = variables.get(desk.store, query.name)
    value = there.value if query.value is UNSET else query.value
    tags = there.tags if query.tags is UNSET else query.tags
    return variables.save(desk.store, query.name, value, tags, overwrite=True, now=desk.now())


@answers(asked.DELETE_VARIABLE)
def delete_variable(desk: Desk, query: asked.VariableByName) -> None:
    if not variables.unset(desk.store, query.name):
        variables.get(desk.store, query.name)
        raise ObjectNotFound(f"Variable {query.name!r} not found!")
