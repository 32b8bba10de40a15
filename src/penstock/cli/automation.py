"""`penstock automation`: what is done by itself when something happens, and what was done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from penstock.cli import choosing, shown
from penstock.cli.output import JSON, output_option, print_fields, print_json, print_table, remark
from penstock.cli.record import ask, listed
from penstock.domain.automations import Automation, Trigger
from penstock.domain.errors import AutomationError
from penstock.protocol import automations as asked
from penstock.protocol.operation import Nothing


@click.group()
def automation() -> None:
    """Have something done by itself when something happens."""


@automation.command()
@output_option
def ls(output: str) -> None:
    """List automations, by name."""
    found = ask(asked.FILTER_AUTOMATIONS, Nothing())
    if output == JSON:
        print_json(found)
    elif found:
        print_table(("Name", "When", "Then", "Enabled"), [_row(each) for each in found])
    else:
        remark("There are no automations yet. To make one: `penstock automation create --from-file FILE`.")


@automation.command()
@click.argument("name")
@output_option
def inspect(name: str, output: str) -> None:
    """Show everything known of an automation."""
    found = ask(asked.READ_AUTOMATION, asked.AutomationByName(name))
    if output == JSON:
        print_json(found)
        return
    print_fields(
        {
            "Automation": found.name,
            "Description": shown.one_line(found.description),
            "Enabled": "yes" if found.enabled else "no",
            "Since": "" if found.since is None else shown.local(found.since),
            "When": _json(found.trigger),
            "Then": "\n".join(map(_json, found.actions)),
        }
    )


@automation.command()
@click.option(
    "--from-file", "-f", "file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML or JSON: an automation, or a list of them under `automations`.",
)  # fmt: skip
def create(file: Path) -> None:
    """Make automations, or replace those of their names."""
    wanted = _read(file)
    for each in wanted:
        made = ask(asked.SAVE_AUTOMATION, each)
        click.echo(f"Automation {made.name!r} is {'enabled' if made.enabled else 'disabled'}.")


@automation.command()
@click.argument("name")
def pause(name: str) -> None:
    """Have an automation fire no more, until it is resumed."""
    ask(asked.UPDATE_AUTOMATION, asked.EnableAutomation(name=name, enabled=False))
    click.echo(f"Automation {name!r} is disabled.")


@automation.command()
@click.argument("name")
def resume(name: str) -> None:
    """Have an automation fire for what happens from now on."""
    ask(asked.UPDATE_AUTOMATION, asked.EnableAutomation(name=name, enabled=True))
    click.echo(f"Automation {name!r} is enabled.")


@automation.command()
@click.argument("name")
def delete(name: str) -> None:
    """Delete an automation; what it did stays recorded."""
    ask(asked.DELETE_AUTOMATION, asked.AutomationByName(name))
    click.echo(f"Automation {name!r} is deleted.")


@automation.command()
@click.argument("name", required=False)
@choosing.limit_option(50)
@output_option
def firings(name: str | None, limit: int, output: str) -> None:
    """List what automations (or one of them) fired, and what came of it; the latest first."""
    found = listed(
        asked.FILTER_FIRINGS,
        lambda size, cursor: asked.FilterFirings(automation=name, limit=size, cursor=cursor), limit,
    )  # fmt: skip
    if output == JSON:
        print_json(found)
        return
    if not found:
        remark("Nothing was fired.")
        return
    now = shown.now()
    rows = [
        (
            each.automation, shown.relative(each.at, now), each.about.get("flow_run.name", each.subject)[:60],
            each.action.__struct_config__.tag, {None: "to be done", True: "failed", False: "done"}[each.failed],
            shown.one_line(each.outcome or "")[:100],
        )
        for each in found
    ]  # fmt: skip
    print_table(("Automation", "When", "For", "Action", "State", "Outcome"), rows)


def _read(file: Path) -> list[asked.SaveAutomation]:
    try:
        text = yaml.safe_load(file.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AutomationError(f"{file} is neither YAML nor JSON: {error}") from None
    given = text["automations"] if isinstance(text, dict) and "automations" in text else text
    every = given if isinstance(given, list) else [given]
    found = []
    for place, each in enumerate(every, 1):
        try:
            found.append(msgspec.convert(each, asked.SaveAutomation))
        except msgspec.ValidationError as error:
            raise AutomationError(f"Automation {place} of {file}: {error}.") from None
    return found


def _row(each: Automation) -> tuple[str, str, str, str]:
    then = ", ".join(str(action.__struct_config__.tag) for action in each.actions)
    return each.name, _when(each.trigger), then, "yes" if each.enabled else "no"


def _when(trigger: Trigger) -> str:
    fields: dict[str, Any] = msgspec.to_builtins(trigger)
    kind = fields.pop("type")
    parts = [
        f"{name} {', '.join(map(str, each)) if isinstance(each, list | tuple) else each}"
        for name, each in fields.items()
        if each
    ]
    return shown.one_line(f"{kind}: {'; '.join(parts)}" if parts else kind)[:80]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
