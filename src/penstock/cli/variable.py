"""`penstock variable`: list, read, set and unset variables."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from penstock.cli import choosing, shown
from penstock.cli.output import JSON, is_terminal, output_option, print_fields, print_json, print_table, remark
from penstock.cli.record import ask, listed
from penstock.domain.variables import VariableRecord
from penstock.protocol import variables

NONE = "There are no variables yet. To set the first: `penstock variable set NAME VALUE`, or in Python Variable.set."


@click.group()
def variable() -> None:
    """Manage variables."""


@variable.command()
@choosing.limit_option(100)
@output_option
def ls(limit: int, output: str) -> None:
    """List variables, by name."""
    found = listed(
        variables.FILTER_VARIABLES, lambda size, cursor: variables.FilterVariables(limit=size, cursor=cursor), limit
    )
    if output == JSON:
        print_json(found)
    elif found:
        now = shown.now()
        rows = [
            (each.name, _json(each.value), shown.one_line(", ".join(each.tags)), shown.relative(each.updated, now))
            for each in found
        ]
        print_table(("Name", "Value", "Tags", "Updated"), rows)
    else:
        remark(NONE)


@variable.command()
@click.argument("name")
@output_option
def get(name: str, output: str) -> None:
    """Print a variable's value: text as it is, anything else as JSON."""
    value = _read(name).value
    if output == JSON:
        print_json(value)
    elif isinstance(value, str):
        # color: a pipe gets it as it is; click would take escape sequences out.
        click.echo(shown.harmless(value) if is_terminal(sys.stdout) else value, color=True)
    else:
        click.echo(_json(value))


@variable.command()
@click.argument("name")
@output_option
def inspect(name: str, output: str) -> None:
    """Show everything known of a variable."""
    found = _read(name)
    if output == JSON:
        print_json(found)
        return
    print_fields(
        {
            "Variable": found.name,
            "Value": _json(found.value),
            "Tags": shown.one_line(", ".join(found.tags)) or "none",
            "Created": shown.local(found.created),
            "Updated": shown.local(found.updated),
        }
    )


@variable.command("set")
@click.argument("name")
@click.argument("value")
@click.option("--overwrite", is_flag=True, help="Replace a variable that is set.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Give it this tag (may be given again).")
def set_(name: str, value: str, overwrite: bool, tags: tuple[str, ...]) -> None:
    """Set a variable.

    VALUE is JSON, or else text: 5 is a number, hello is text, and so is '"5"'. Before a negative number stands --.
    """
    asked = variables.SetVariable(name=name, value=_parsed(value), tags=list(tags), overwrite=overwrite)
    ask(variables.CREATE_VARIABLE, asked)
    click.echo(f"Set variable {name!r}.")


@variable.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def unset(names: tuple[str, ...], yes: bool) -> None:
    """Remove variables."""
    found = [_read(name) for name in names]
    if not yes and is_terminal(sys.stdin):
        named = ", ".join(repr(each.name) for each in found)
        click.confirm(f"Are you sure you want to unset {named}?", abort=True)
    for each in found:
        ask(variables.DELETE_VARIABLE, variables.VariableByName(each.name))
        click.echo(f"Unset variable {each.name!r}.")


def _read(name: str) -> VariableRecord:
    return ask(variables.READ_VARIABLE, variables.VariableByName(name))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> Any:
    """NaN and Infinity are words: JSON has no such numbers."""
    raise ValueError(name)


def _json(value: Any) -> str:
    return shown.one_line(json.dumps(value, ensure_ascii=False))
