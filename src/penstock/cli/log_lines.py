"""Lines of a run's log in the terminal: in the form they had when the run wrote them, with the date where that is not
today's; or as JSON, one line each."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import click

from penstock.cli import shown
from penstock.cli.output import JSON, remark
from penstock.cli.record import WAIT_SECONDS, ask
from penstock.domain.errors import ObjectNotFound
from penstock.domain.filters import LogFilter, RunFilter, log_level, moment
from penstock.domain.ids import InvalidId
from penstock.domain.levels import level_name
from penstock.domain.log_forms import json_line, source_of
from penstock.domain.logs import LogLine
from penstock.domain.runs import FlowRun, TaskRun
from penstock.engine import console
from penstock.protocol.flow_runs import CountRuns, FindRun
from penstock.protocol.logs import FILTER_LOGS, FOLLOW_LOGS, FilterLogs, FollowLogs, LogPage, TaskNames
from penstock.protocol.paging import MOST
from penstock.protocol.task_runs import COUNT_TASK_RUNS, FIND_TASK_RUN

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_COUNT = 20
# More lines than any log has, and a number that the store can take.
MOST_LINES = 1_000_000_000
# A run is final before its last lines are recorded: it says how it ended, and hooks may speak after that.
QUIET_SECONDS = 0.3
_STYLES = {50: {"fg": "red", "bold": True}, 40: {"fg": "red"}, 30: {"fg": "yellow"}, 10: {"dim": True}}


def log_options(command: F) -> F:
    """Adds the options that choose lines, which `show` takes by their names."""
    options = (
        click.option("--follow", "-f", "follows", is_flag=True, help="Go on until the run has ended."),
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
        click.option("--since", metavar="TIME", help="Lines from then on: so long ago (90s, 2h, 1d), or an ISO time."),
        click.option("--until", metavar="TIME", help="Lines before then."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def of_task(run: FlowRun, text: str | None) -> dict[str, Any]:
    """`--task`: a task run of this flow run by its id, or else the name of a task run or of a task."""
    if text is None:
        return {}
    try:
        found = ask(FIND_TASK_RUN, FindRun(text))
    except (InvalidId, LookupError):
        return {"task": text}
    return {"task_run_id": found.id} if found.flow_run_id == run.id else {"task": text}


def show(
    run: FlowRun | TaskRun,
    output: str,
    task: dict[str, Any],
    *,
    follows: bool,
    head: int | None,
    tail: int | None,
    count: int | None,
    reverse: bool,
    level: str | None,
    grep: str | None,
    since: str | None,
    until: str | None,
) -> None:
    """Print the lines of a run that the options choose, and go on with those that come if they say so.

    Raises `FilterError` for what cannot be used to choose lines.
    """
    if head is not None and tail is not None:
        raise click.UsageError("Give --head or --tail, not both.")
    if follows and (head is not None or reverse or until is not None):
        raise click.UsageError("--follow goes with --tail and --since, not with --head, --reverse or --until.")
    filter = LogFilter(
        level=0 if level is None else log_level(level),
        containing=grep or None,
        after=_moment(since),
        before=_moment(until),
        **task,
    )
    printer = Printer(run, output)
    last = count or tail if head is None else None
    if follows:
        _follow(run, printer, filter, last)
        return
    query = FilterLogs(**_whose(run), filter=filter, backwards=reverse)
    if last is not None and not reverse:
        query.last, most = last, None
    else:  # --head counts in the order of reading: with --reverse from the newest
        most = last if head is None else count or head
    empty = True
    for page in _pages(query, most):
        printer.show(page.items, page.tasks)
        empty = False
    if empty:
        name = filter.task
        known = name is None or _knows_task(run, name)
        remark("No lines fit." if known else f"No task run of {run.name!r} is named {name!r}, and no task.")


def _pages(query: FilterLogs, most: int | None) -> Iterator[LogPage]:
    """Pages with lines, of `most` lines together."""
    left = most
    while left is None or left > 0:
        query.limit = MOST if left is None else min(MOST, left)
        page = ask(FILTER_LOGS, query)
        if page.items:
            yield page
        if page.next is None:
            return
        query.cursor = page.next
        left = None if left is None else left - len(page.items)


def _whose(run: FlowRun | TaskRun) -> dict[str, Any]:
    return {"flow_run_id" if isinstance(run, FlowRun) else "task_run_id": run.id}


def _knows_task(run: FlowRun | TaskRun, name: str) -> bool:
    """Whether a flow run has a task run of this name, or one of a task of this name."""
    filters = [RunFilter(flow_run_id=run.id, names=(name,)), RunFilter(flow_run_id=run.id, task_names=(name,))]
    return any(ask(COUNT_TASK_RUNS, CountRuns(filter=each)).count for each in filters)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else moment(text, shown.now())


class Printer:
    """Writes lines of one run, a page at a time."""

    def __init__(self, run: FlowRun | TaskRun, output: str) -> None:
        self._run = run
        self._form = self._json if output == JSON else self._text
        self._colours = console.wants_colours(sys.stdout)
        self._today = shown.now().astimezone().date()
        self._ascii_only = not (sys.stdout.encoding or "utf-8").lower().startswith("utf")

    def show(self, lines: list[LogLine], tasks: Mapping[UUID, TaskNames]) -> None:
        """Print lines; `tasks` are the names of those task runs that wrote them."""
        if lines:
            click.echo("\n".join(self._form(line, self._source(line, tasks)) for line in lines))

    def _source(self, line: LogLine, tasks: Mapping[UUID, TaskNames]) -> str:
        if line.task_run_id is None or line.task_run_id == self._run.id:
            run = f"{'Flow' if isinstance(self._run, FlowRun) else 'Task'} run {self._run.name!r}"
        else:
            names = tasks.get(line.task_run_id)
            run = f"Task run {(str(line.task_run_id) if names is None else names.name)!r}"
        return source_of(line.logger, run)

    def _text(self, line: LogLine, source: str) -> str:
        moment, level = console.clock(line.timestamp), level_name(line.level)
        day = line.timestamp.astimezone().date()
        if day != self._today:
            moment = f"{day} {moment}"
        text = f"{moment} | {level:<7} | {shown.one_line(source)} - {shown.harmless(line.message)}"
        style = _STYLES.get(line.level) if self._colours else None
        return click.style(text, **style) if style else text  # type: ignore[arg-type]

    def _json(self, line: LogLine, source: str) -> str:
        return json_line(line, source, ascii_only=self._ascii_only)


# --- following -------------------------------------------------------------------------------------------------------


def _follow(run: FlowRun | TaskRun, printer: Printer, filter: LogFilter, last: int | None) -> None:
    """Print what there is, then lines as they come, until the run is final and silent.

    Raises `ObjectNotFound` when the run is deleted, and `BrokenPipeError` as soon as nobody reads what is printed.
    """
    query = FollowLogs(**_whose(run), filter=filter, last=last)
    is_read = _reader()
    try:
        while True:
            news = ask(FOLLOW_LOGS, query)
            printer.show(news.items, news.tasks)
            query.position = news.position
            if news.settled or (query.rest and not news.more):
                return
            # Lines behind one that is still awaited: it will not come any more.
            query.rest = query.rest or (query.wait == QUIET_SECONDS and news.silent)
            query.wait = 0.0 if query.rest else QUIET_SECONDS if news.ended else WAIT_SECONDS
            if not is_read():
                raise BrokenPipeError
            if news.again is not None and not news.items:
                time.sleep(news.again)
    except ObjectNotFound:
        kind = "Flow" if isinstance(run, FlowRun) else "Task"
        raise ObjectNotFound(f"{kind} run {run.name!r} ({run.id}) was deleted, and its log with it.") from None


def _reader() -> Callable[[], bool]:
    """Whether stdout still has a reader; a pipe's may leave while the run is silent (`| head`)."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):  # no such call, or no such stream
        return lambda: True
    return lambda: not any(event & select.POLLERR for _, event in poll.poll(0))
