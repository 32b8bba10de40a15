"""What commands print: tables and fields for people, JSON for programs.

Law: data goes to stdout, remarks and errors to stderr. Away from a terminal a table is plain, aligned text in which
nothing is cut, so that a pipe gets whole ids.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click
import msgspec

F = TypeVar("F", bound=Callable[..., Any])

TEXT = "text"
JSON = "json"


def output_option(command: F) -> F:
    """Adds `--output/-o text|json`, passed as `output`."""
    option = click.option(
        "--output",
        "-o",
        type=click.Choice([TEXT, JSON], case_sensitive=False),
        default=TEXT,
        show_default=True,
        help="The form of the output: for people, or for programs.",
    )
    return option(command)


def print_json(data: object) -> None:
    """Print data as indented JSON; whatever msgspec knows, paths and other objects as their text."""
    click.echo(msgspec.json.format(msgspec.json.encode(data, enc_hook=str), indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print rows under column names; in a terminal framed and fitted to its width, elsewhere plain and whole."""
    cells = [[cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in _plain([list(columns), *cells]):
            click.echo(line)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=title, title_justify="left", header_style="bold", expand=False)
    for column in table.columns:
        column.overflow = "fold"  # never cut: an id that is cut cannot be copied
    for row in cells:
        table.add_row(*(Text(value) for value in row))
    Console().print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one a line, the values aligned."""
    width = max((len(name) for name in fields), default=0) + 2
    for name, value in fields.items():
        click.echo(f"{name + ':':<{width}} {cell(value)}")


def remark(sentence: str) -> None:
    """Tell a person something that is not the command's output."""
    click.secho(sentence, fg="yellow", err=True)


def cell(value: object) -> str:
    """A value on one line. Control characters, which could drive the terminal, are shown as spaces."""
    text = "" if value is None else str(value)
    return text if text.isprintable() else "".join(mark if mark.isprintable() else " " for mark in text)


def _plain(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
