"""What commands print: tables and fields for people, JSON for programs.

Law: data goes to stdout, remarks and errors to stderr. Away from a terminal a table is plain, aligned text in which
nothing is cut, so that a pipe gets whole ids. In a terminal an id is never cut nor broken over lines either: it must be
possible to copy it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO, TypeVar

import click
import msgspec

F = TypeVar("F", bound=Callable[..., Any])

TEXT = "text"
JSON = "json"

# DEL and the 8-bit control characters; the others are always escaped in JSON.
_ESCAPES = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}

# Of a table in a terminal: longer cells are cut, no column is made narrower than this, and this is between columns.
LONGEST_CELL = 40
NARROWEST = 6
GAP = 2


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
    text = harmless_json(msgspec.json.encode(data, enc_hook=str))
    click.echo(msgspec.json.format(text.encode(), indent=2))


def harmless_json(encoded: bytes) -> str:
    """JSON whose strings have no character that a terminal would obey: JSON may carry DEL and C1 as they are."""
    return encoded.decode().translate(_ESCAPES)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print rows under column names; in a terminal fitted to its width, elsewhere plain and whole.

    A column named ID must be the first.
    """
    cells = [[cell(value) for value in row] for row in rows]
    if is_terminal(sys.stdout):
        _print_fitted(list(columns), cells, title)
        return
    for line in _plain([list(columns), *cells]):
        click.echo(line)


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


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person is there. A stream that was closed before we began is None."""
    return stream is not None and stream.isatty()


def _print_fitted(columns: list[str], cells: list[list[str]], title: str | None) -> None:
    """In a frame where there is room; else without one, the widest columns narrowed; else each row on several lines."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    first = 1 if columns[0] == "ID" else 0  # the first column that may be narrowed
    cells = [[*row[:first], *(_cut(value, LONGEST_CELL) for value in row[first:])] for row in cells]
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    frame = 3 * len(columns) + 1
    if sum(widths) + frame <= console.width:
        table = Table(title=title, title_justify="left", header_style="bold", expand=False)
    else:
        narrowed = _narrowed(widths[first:], console.width - sum(widths[:first]) - GAP * (len(columns) - 1))
        if narrowed is None:
            _print_stacked(cells, title, console.width)
            return
        widths[first:] = narrowed
        table = Table(
            title=title, title_justify="left", header_style="bold", box=None, padding=(0, GAP, 0, 0), pad_edge=False
        )
    for name, width in zip(columns, widths, strict=True):
        table.add_column(name, width=width, no_wrap=True, overflow="ellipsis")
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def _narrowed(widths: list[int], room: int) -> list[int] | None:
    """Widths that fit into the room, the widest narrowed first; None when there is too little of it."""
    widths = list(widths)
    while sum(widths) > room:
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= NARROWEST:
            return None
        widths[widest] -= 1
    return widths


def _print_stacked(cells: list[list[str]], title: str | None, width: int) -> None:
    """Each row as lines: its first cell whole, and the others below, as many on a line as there is room for."""
    from rich.cells import cell_len

    if title is not None:
        click.echo(title)
    for row in cells:
        click.echo(row[0])
        line = ""
        for value in filter(None, row[1:]):
            value = _cut(value, max(1, width - GAP))
            if line and cell_len(line) + GAP + cell_len(value) > width:
                click.echo(line)
                line = ""
            line += " " * GAP + value
        if line:
            click.echo(line)


def _cut(text: str, width: int) -> str:
    """The text, with `…` for what is beyond a width."""
    from rich.text import Text

    cut = Text(text)
    cut.truncate(width, overflow="ellipsis")
    return cut.plain


def _plain(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
