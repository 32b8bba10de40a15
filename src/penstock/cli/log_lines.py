"""Lines of a run's log in the terminal: in the form they had when the run wrote them, or as JSON, one line each."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import click
import msgspec

from penstock.cli import live, shown
from penstock.cli.output import JSON, harmless_json
from penstock.domain.filters import LogFilter, log_level
from penstock.domain.ids import InvalidId
from penstock.domain.logs import LogLine, level_name
from penstock.domain.runs import FlowRun, TaskRun
from penstock.services import log_reading, reading
from penstock.store.contract import Store

F = TypeVar("F", bound=Callable[..., Any])

ENGINE = "penstock.engine"
DEFAULT_COUNT = 20
# More lines than any log has, and a number that the store can take.
MOST_LINES = 1_000_000_000
# A run is final before its last lines are recorded: it says how it ended, and hooks may speak after that.
QUIET_SECONDS = 0.3
SETTLED = timedelta(seconds=3)
_STYLES = {50: {"fg": "red", "bold": True}, 40: {"fg": "red"}, 30: {"fg": "yellow"}, 10: {"dim": True}}


def log_options(command: F) -> F:
    """Adds the options that choose lines, passed as `head`, `tail`, `count`, `reverse`, `level` and `grep`."""
    options = (
        click.option(
            "--head", "-h", is_flag=False, flag_value=DEFAULT_COUNT, type=click.IntRange(1, MOST_LINES), metavar="[N]",
            help=f"The first N lines ({DEFAULT_COUNT}) instead of all.",
        ),
        click.option(
            "--tail", "-t", is_flag=False, flag_value=DEFAULT_COUNT, type=click.IntRange(1, MOST_LINES), metavar="[N]",
            help=f"The last N lines ({DEFAULT_COUNT}) instead of all.",
        ),
        click.option(
            "--num-logs", "-n", "count", type=click.IntRange(1, MOST_LINES), metavar="N",
            help="How many lines --head or --tail shows; alone, the last N.",
        ),
        click.option("--reverse", "-r", is_flag=True, help="The newest line first."),
        click.option("--level", metavar="LEVEL", help="Lines of this level and above (DEBUG, INFO, WARNING, …)."),
        click.option("--grep", metavar="TEXT", help="Lines that hold this text, whatever its case."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def line_filter(level: str | None, grep: str | None, **more: Any) -> LogFilter:
    """The filter that the options mean. Raises `FilterError`."""
    return LogFilter(level=0 if level is None else log_level(level), containing=grep or None, **more)


def of_task(store: Store, run: FlowRun, text: str | None) -> dict[str, Any]:
    """`--task`: a task run of this flow run by its id, or else the name of a task run or of a task."""
    if text is None:
        return {}
    try:
        found = reading.find_task_run(store, text)
    except (InvalidId, LookupError):
        return {"task": text}
    return {"task_run_id": found.id} if found.flow_run_id == run.id else {"task": text}


def choose(
    store: Store,
    run_id: UUID,
    filter: LogFilter,
    head: int | None,
    tail: int | None,
    count: int | None,
    reverse: bool,
) -> Iterator[list[LogLine]]:
    """The pages that the options ask for. `--head` counts in the order of reading: with `--reverse` from the newest."""
    if head is not None and tail is not None:
        raise click.UsageError("Give --head or --tail, not both.")
    if head is None and (tail is not None or count is not None):
        wanted = count or tail or DEFAULT_COUNT
        if not reverse:
            return log_reading.last_pages(store, run_id, filter, wanted)
        return log_reading.pages(store, run_id, filter, backwards=True, limit=wanted)
    limit = None if head is None else count or head
    return log_reading.pages(store, run_id, filter, backwards=reverse, limit=limit)


class Printer:
    """Writes lines of one run, a page at a time."""

    def __init__(self, store: Store, run: FlowRun | TaskRun, output: str) -> None:
        self._store = store
        self._run = run
        self._form = self._json if output == JSON else self._text
        self._colours = sys.stdout.isatty()

    def show(self, lines: list[LogLine], filter: LogFilter | None = None) -> None:
        """Print a page; with a filter, those lines that fit."""
        names = log_reading.task_names(self._store, lines)
        if filter is not None:
            lines = [line for line in lines if filter.fits(line, names.get(line.task_run_id, ()))]  # type: ignore[arg-type]
        if lines:
            click.echo("\n".join(self._form(line, self._source(line, names)) for line in lines))

    def _source(self, line: LogLine, names: dict[UUID, tuple[str, str]]) -> str:
        if line.logger == ENGINE:
            return ENGINE
        if line.task_run_id is None or line.task_run_id == self._run.id:
            return f"{'Flow' if isinstance(self._run, FlowRun) else 'Task'} run {self._run.name!r}"
        name = names.get(line.task_run_id, (str(line.task_run_id), ""))[0]
        return f"Task run {name!r}"

    def _text(self, line: LogLine, source: str) -> str:
        text = (
            f"{clock(line)} | {level_name(line.level):<7} | {shown.one_line(source)} - {shown.harmless(line.message)}"
        )
        style = _STYLES.get(line.level) if self._colours else None
        return click.style(text, **style) if style else text  # type: ignore[arg-type]

    def _json(self, line: LogLine, source: str) -> str:
        fields = msgspec.structs.asdict(line) | {"level_name": level_name(line.level), "source": source}
        return harmless_json(msgspec.json.encode(fields))


def clock(line: LogLine) -> str:
    return line.timestamp.astimezone().strftime("%H:%M:%S.%f")[:-3]


def print_pages(pages: Iterable[list[LogLine]], printer: Printer) -> None:
    for page in pages:
        printer.show(page)


def follow(store: Store, run_id: UUID, printer: Printer, filter: LogFilter, start: int = 0) -> None:
    """Print lines as they come, until the run is final and silent."""
    cursor = log_reading.LogCursor(store, run_id, start=start)
    silent_since = time.monotonic()
    for run in live.watch(store, run_id, after_end=True):
        while lines := cursor.fresh(shown.now()):
            printer.show(lines, filter)
            silent_since = time.monotonic()
        if run.state.is_final():
            long_ago = shown.now() - run.state.timestamp > SETTLED
            if long_ago or time.monotonic() - silent_since > QUIET_SECONDS:
                break
        else:
            silent_since = time.monotonic()
    # Lines behind one that is still awaited: it will not come any more.
    while lines := cursor.fresh(shown.now() + timedelta(days=1)):
        printer.show(lines, filter)
