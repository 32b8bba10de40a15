"""Writes the parts of the pages that are made from the code: settings, commands, operations, states.

`python docs/generate.py` brings them up to date; a test fails while they are not. A part stands between
`<!-- generated: NAME -->` and `<!-- end of NAME -->`; what is around it is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from penstock.cli.main import root
from penstock.domain.states import FINAL, LOOKS, NAMES, TRANSITIONS, StateType
from penstock.flows.runtime_values import FLOW_RUN, TASK_RUN
from penstock.protocol.operation import OPERATIONS
from penstock.services import answers
from penstock.settings.kinds import written
from penstock.settings.table import NOT_IN_PROFILES, SETTINGS

DOCS = Path(__file__).parent
assert answers  # loads all operations

# name of a state -> what it says of the run
MEANINGS = {
    "Scheduled": "It is to start later.",
    "Late": "Its time to start has passed.",
    "AwaitingRetry": "It failed and will be tried again.",
    "AwaitingConcurrencySlot": "It waits for a place under a limit.",
    "Resuming": "A person let it go on; it is about to.",
    "Pending": "It is about to start.",
    "NotReady": "It cannot start: a run that it needs did not complete.",
    "Running": "Its code is running.",
    "Retrying": "Its code is running, not for the first time.",
    "Completed": "It did what it should.",
    "Cached": "It took its value from an earlier run.",
    "Failed": "Its code raised, or said itself that it failed.",
    "TimedOut": "Its own `timeout_seconds` passed.",
    "Cancelling": "It was told to stop; its code is not yet known to have stopped.",
    "Cancelled": "It was stopped because somebody asked for it, or with its parent.",
    "Crashed": "Its process ended before it did.",
    "Paused": "It waits for a person; its process waits with it.",
    "Suspended": "It waits for a person, without a process.",
}


def settings() -> str:
    """A table row for each setting."""
    rows = ["| setting | kind | default | what it does |", "|---|---|---|---|"]
    for setting in SETTINGS.values():
        default = f"`{written(setting.default)}`" if written(setting.default) else "none"
        note = " Not in profiles." if setting.name in NOT_IN_PROFILES else ""
        rows.append(f"| `{setting.name}` | {setting.kind.label} | {default} | {setting.description}{note} |")
    return "\n".join(rows)


def commands() -> str:
    """A section for each command, in the order of the help."""
    return "\n\n".join(_section(path, command, context) for path, command, context in walk(root, "penstock", None))


def walk(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command that does something: its path, itself, its context."""
    context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    if not isinstance(command, click.Group):
        yield context.command_path, command, context
        return
    for each in command.list_commands(context):
        below = command.get_command(context, each)
        if below is not None and not below.hidden:
            yield from walk(below, each, context)


def _section(path: str, command: click.Command, context: click.Context) -> str:
    arguments = " ".join(filter(None, command.collect_usage_pieces(context)))
    text = re.sub(r"\s*\n\s*", " ", (command.help or "").replace("\n\n", "\0")).replace("\0", "\n\n").strip()
    parts = [f"## {path}", f"`{path} {arguments}`", text]
    rows = []
    for option in command.params:
        record = option.get_help_record(context) if isinstance(option, click.Option) and not option.hidden else None
        if record is not None:
            rows.append(f"| `{_cell(record[0])}` | {_prose(record[1])} |")
    if rows:
        parts.append("\n".join(["| option | what it does |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _prose(text: str) -> str:
    """A cell in which brackets are brackets, and no link."""
    return _cell(text).replace("[", "\\[")


def diagram() -> str:
    """A mermaid diagram of the types of state. Edges that nearly every state has are drawn from a box around them."""
    open_types = [each for each in StateType if each not in FINAL]
    active = [each for each in open_types if each is not StateType.CANCELLING]
    shared = frozenset.intersection(*(TRANSITIONS[each] for each in active)) - set(active)
    lines = ["stateDiagram-v2", "    [*] --> SCHEDULED", "    [*] --> PENDING", "    state Open {"]
    lines += [
        f"        {each} --> {after}"
        for each in active
        for after in StateType
        if after in TRANSITIONS[each] and after in active and after is not each
    ]
    lines.append("    }")
    lines += [f"    Open --> {after}" for after in StateType if after in shared]
    lines += [
        f"    {each} --> {after}"
        for each in open_types
        for after in StateType
        if after in TRANSITIONS[each] - {each} and (each not in active or after not in shared | set(active))
    ]
    lines += [f"    {each} --> [*]" for each in StateType if each in FINAL]
    return "```mermaid\n" + "\n".join(lines) + "\n```"


def names() -> str:
    """A table row for each name of a state."""
    rows = ["| glyph | name | type | colour | what it says of the run |", "|---|---|---|---|---|"]
    for name, type_ in NAMES.items():
        colour, glyph = LOOKS[type_]
        rows.append(f"| {glyph} | `{name}` | {type_} | `{colour}` | {MEANINGS[name]} |")
    return "\n".join(rows)


def operations() -> str:
    """A table row for each operation of the server."""
    rows = ["| method | path below `/api` | what it does | for |", "|---|---|---|---|"]
    for each in sorted(OPERATIONS.values(), key=lambda operation: (operation.path, operation.method)):
        role = "anyone" if each.role is None else each.role.value
        rows.append(f"| {each.method} | `{each.path}` | {_cell(each.summary)} | {role} |")
    return "\n".join(rows)


def facts() -> str:
    """A table row for each name of `penstock.runtime`."""
    rows = ["| `flow_run.` | `task_run.` |", "|---|---|"]
    names = dict.fromkeys((*FLOW_RUN, *TASK_RUN))
    rows += [" | ".join(f"`{name}`" if name in of else "" for of in (FLOW_RUN, TASK_RUN)) for name in names]
    return "\n".join([*rows[:2], *(f"| {row} |" for row in rows[2:])])


# page -> its parts
PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "settings.md": {"settings": settings},
    "cli.md": {"commands": commands},
    "rest.md": {"operations": operations},
    "api/runtime.md": {"facts": facts},
    "states.md": {"diagram": diagram, "names": names},
}


def page(name: str, text: str) -> str:
    """The page's text with its parts made anew."""
    for part, make in PARTS[name].items():
        begin, end = f"<!-- generated: {part} -->", f"<!-- end of {part} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"{name}: {begin} … {end} is not there")
        text = f"{before}{begin}\n{make()}\n{end}{after}"
    return text


def main() -> None:
    for name in PARTS:
        path = DOCS / name
        before = path.read_text(encoding="utf-8")
        after = page(name, before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{name}: written", file=sys.stderr)


if __name__ == "__main__":
    main()
