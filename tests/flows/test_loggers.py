"""Extra loggers: their lines are in the run's log, and the program's own logging does what it would do without us."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from penstock import flow, task
from penstock.domain.logs import LogLine
from penstock.settings import temporary_settings

from .kit import Programs, Record

Told = list[tuple[int, str, str]]


@pytest.fixture(autouse=True)
def clean_loggers() -> Iterator[None]:
    """Loggers `lib` and `other` and what is below them are as new in each test."""
    yield
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.partition(".")[0] in ("lib", "other") and isinstance(logger, logging.Logger):
            logger.handlers, logger.filters = [], []
            logger.setLevel(logging.NOTSET)
            logger.propagate, logger.disabled = True, False


@pytest.fixture
def lib(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """A logger that is named."""
    monkeypatch.setenv("PENSTOCK_LOGGING_EXTRA_LOGGERS", "lib")
    return logging.getLogger("lib")


def lines(record: Record) -> list[LogLine]:
    return [line for line in record.lines() if not line.logger.startswith("penstock")]


def told(record: Record) -> Told:
    return [(line.level, line.logger, line.message) for line in lines(record)]


class Kept(logging.Handler):
    """A handler of the program's."""

    def __init__(self, level: int = 0) -> None:
        super().__init__(level)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


# --- what is in the log ----------------------------------------------------------------------------------------------


def test_lines_of_named_loggers_and_those_below_have_their_level_logger_run_and_place(
    record: Record, lib: logging.Logger
) -> None:
    @task
    def work() -> None:
        logging.getLogger("lib.db").warning("%s rows", 3)

    @flow
    def main() -> None:
        lib.info("in the flow")
        work()
        logging.getLogger("library").error("another's")
        logging.getLogger("other").error("not named")

    main()
    first, second = lines(record)
    assert told(record) == [(20, "lib", "in the flow"), (30, "lib.db", "3 rows")]
    assert (first.task_run_id, second.task_run_id) == (None, record.task_run().id)
    assert (second.file, second.line, second.function) == (__file__, work.fn.__code__.co_firstlineno + 2, "work")


def test_a_package_may_be_named_though_only_its_modules_have_loggers(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_EXTRA_LOGGERS", "project")
    log = logging.getLogger("project.jobs.load")

    @flow
    def main() -> None:
        log.info("told")

    main()
    assert told(record) == [(20, "project.jobs.load", "told")]


def test_outside_of_runs_nothing_is_taken(record: Record, lib: logging.Logger) -> None:
    @flow
    def main() -> None:
        lib.info("inside")

    lib.warning("before")
    main()
    lib.warning("after")
    assert told(record) == [(20, "lib", "inside")]


def test_log_prints_has_no_say_in_it(record: Record, lib: logging.Logger) -> None:
    @task(log_prints=False)
    def work() -> None:
        lib.info("said")
        print("printed")

    @flow(log_prints=True)
    def main() -> None:
        work()

    main()
    assert told(record) == [(20, "lib", "said")]
    assert "printed" not in record.messages()


def test_exceptions_come_with_their_traceback(record: Record, lib: logging.Logger) -> None:
    @flow
    def main() -> None:
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            lib.exception("it went wrong")

    main()
    ((level, _, message),) = told(record)
    assert level == 40
    assert message.startswith("it went wrong\nTraceback (most recent call last):")


def test_threads_pools_and_coroutines_write_to_the_run_they_belong_to(record: Record, lib: logging.Logger) -> None:
    @task
    async def waits(number: int) -> None:
        await asyncio.sleep(0)
        lib.info("coroutine %d", number)
        await asyncio.to_thread(lib.info, "to_thread %d", number)

    @task
    def threads() -> None:
        thread = threading.Thread(target=lib.info, args=("thread",))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lib.info, "pool").result()

    @flow
    async def main() -> None:
        await asyncio.gather(waits(0), waits(1))
        threads()

    asyncio.run(main())
    runs = {run.name: run.id for run in record.task_runs()}
    whose = {line.message: line.task_run_id for line in lines(record)}
    assert whose == {
        "coroutine 0": runs["waits-0"],
        "coroutine 1": runs["waits-1"],
        "to_thread 0": runs["waits-0"],
        "to_thread 1": runs["waits-1"],
        "thread": runs["threads-0"],
        "pool": runs["threads-0"],
    }


def test_each_run_is_asked_for_its_own_loggers(record: Record) -> None:
    inside, go_on = threading.Event(), threading.Event()

    @flow
    def first() -> None:
        logging.getLogger("lib").info("of first")
        logging.getLogger("other").info("not named by first")
        inside.set()
        assert go_on.wait(20)
        logging.getLogger("lib").info("still of first")

    @flow
    def second() -> None:
        logging.getLogger("lib").info("not named by second")
        logging.getLogger("other").info("of second")

    def run_first() -> None:
        with temporary_settings({"PENSTOCK_LOGGING_EXTRA_LOGGERS": "lib"}):
            first()

    thread = threading.Thread(target=run_first)
    thread.start()
    assert inside.wait(20)
    with temporary_settings({"PENSTOCK_LOGGING_EXTRA_LOGGERS": "other"}):
        second()
    go_on.set()
    thread.join()
    said = {run.flow_name: [line.message for line in record.lines(run) if line.logger in ("lib", "other")]
            for run in record.flow_runs()}  # fmt: skip
    assert said == {"first": ["of first", "still of first"], "second": ["of second"]}


# --- levels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "kept"), [("DEBUG", [10, 20, 30]), ("INFO", [20, 30]), ("WARNING", [30])])
def test_without_a_level_of_its_own_a_logger_has_that_of_the_settings(
    level: str, kept: list[int], record: Record, lib: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", level)

    @flow
    def main() -> None:
        for each in (10, 20, 30):
            lib.log(each, "said")

    main()
    assert [line.level for line in lines(record)] == kept


def test_a_level_that_the_program_has_set_stays(record: Record, lib: logging.Logger) -> None:
    lib.setLevel(logging.WARNING)
    logging.getLogger("lib.loud").setLevel(logging.INFO)

    @flow
    def main() -> None:
        lib.info("no")
        logging.getLogger("lib.db").info("no")
        logging.getLogger("lib.loud").info("yes")
        lib.warning("yes, too")

    main()
    assert [message for *_, message in told(record)] == ["yes", "yes, too"]


def test_logging_that_is_disabled_is_silent(record: Record, lib: logging.Logger) -> None:
    @flow
    def main() -> None:
        logging.disable(logging.INFO)
        try:
            lib.info("no")
            lib.warning("yes")
        finally:
            logging.disable(logging.NOTSET)

    main()
    assert told(record) == [(30, "lib", "yes")]


# --- the program's own logging ---------------------------------------------------------------------------------------


def configuration() -> dict[str, Any]:
    every = {**logging.root.manager.loggerDict, "root": logging.root}
    return {
        name: (each.level, list(each.handlers), list(each.filters), each.propagate, each.disabled)
        for name, each in every.items()
        if isinstance(each, logging.Logger) and not name.startswith("penstock")
    }


def test_the_configuration_is_the_same_before_while_and_after(record: Record, lib: logging.Logger) -> None:
    methods = logging.Logger.isEnabledFor, logging.Logger.handle
    logging.getLogger("lib.db").addHandler(Kept())
    lib.propagate = False
    before = configuration()
    seen = []

    @flow
    def main() -> None:
        lib.info("said")
        seen.append(configuration())

    main()
    assert [*seen, configuration()] == [before, before]
    assert (logging.Logger.isEnabledFor, logging.Logger.handle) == methods


def test_without_extra_loggers_logging_is_not_touched_at_all(record: Record) -> None:
    methods = logging.Logger.isEnabledFor, logging.Logger.handle
    seen = []

    @flow
    def main() -> None:
        seen.append((logging.Logger.isEnabledFor, logging.Logger.handle))

    main()
    assert seen == [methods]


def test_handlers_of_the_program_get_what_they_always_got(record: Record, lib: logging.Logger) -> None:
    """Records that are taken for the run only, because the program's level is higher, do not reach them."""
    handler = Kept()
    logging.getLogger("other").addHandler(handler)
    lib.parent, parent = logging.getLogger("other"), lib.parent
    logging.getLogger("other").setLevel(logging.WARNING)
    try:

        @flow
        def main() -> None:
            lib.info("for the run")
            lib.warning("for both")
            lib.handle(lib.makeRecord("lib", 10, __file__, 1, "brought by somebody", (), None))

        main()
    finally:
        lib.parent = parent
    assert handler.messages == ["for both", "brought by somebody"]
    assert [message for *_, message in told(record)] == ["for the run", "for both"]


def test_filters_of_a_logger_are_asked_once_and_obeyed(record: Record, lib: logging.Logger) -> None:
    asked = []

    def no_secrets(record: logging.LogRecord) -> bool:
        asked.append(record.msg)
        return "secret" not in record.msg

    lib.addFilter(no_secrets)

    @flow
    def main() -> None:
        lib.info("secret")
        lib.info("fine")

    main()
    assert asked == ["secret", "fine"]
    assert told(record) == [(20, "lib", "fine")]


def test_a_message_that_cannot_be_made_is_no_reason_to_fail(
    record: Record, lib: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)

    @flow
    def main() -> None:
        lib.info("%d", "not a number")
        lib.info("fine")

    main()
    (_, _, odd), fine = told(record)
    assert odd.startswith("%d ('not a number',) (TypeError: ")
    assert fine == (20, "lib", "fine")


# --- once ------------------------------------------------------------------------------------------------------------


def test_a_record_is_stored_once_though_several_loggers_on_its_way_are_named(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_EXTRA_LOGGERS", "root, lib, lib.db, lib.db, penstock")

    @flow
    def main() -> None:
        logging.getLogger("lib.db").warning("once")

    main()
    assert told(record) == [(30, "lib.db", "once")]


def test_a_queue_brings_no_record_a_second_time(record: Record, lib: logging.Logger) -> None:
    """Neither when its listener, whose thread the run started, hands it to loggers again."""
    waiting: queue.Queue[Any] = queue.Queue()
    lib.addHandler(logging.handlers.QueueHandler(waiting))
    logging.getLogger("lib.again").propagate = False
    kept = Kept()

    class Again(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger("lib.again").handle(record)

    listener = logging.handlers.QueueListener(waiting, kept, Again())

    @flow
    def main() -> None:
        listener.start()
        lib.warning("once")
        listener.enqueue_sentinel()
        listener.stop()

    main()
    assert told(record) == [(30, "lib", "once")]
    assert kept.messages == ["once"]


# --- whole programs --------------------------------------------------------------------------------------------------

PROGRAM = """
import logging, logging.config, sys, warnings
from penstock import flow, get_run_logger, task

{before}

@task
def work():
    {work}

@flow(log_prints={log_prints})
def main():
    {main}

if __name__ == "__main__":
    main()
"""


def ran(programs: Programs, names: str, *, log_prints: bool = False, **code: str) -> list[str]:
    """What a program showed, but for the engine's lines, without their clock."""
    code = {"before": "", "work": "pass", "main": "work()", **code}
    done = programs.run(PROGRAM.format(log_prints=log_prints, **code), PENSTOCK_LOGGING_EXTRA_LOGGERS=names)
    assert done.code == 0, done.stderr
    shown = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    return [line.partition(" | ")[2] or line for line in shown if "Created " not in line and "Finished in" not in line]


def test_the_terminal_shows_a_line_in_our_form_where_the_program_has_no_handler(
    record: Record, programs: Programs
) -> None:
    shown = ran(
        programs,
        "lib, bare",
        before="logging.getLogger('lib').addHandler(logging.NullHandler())",
        work="logging.getLogger('lib.db').info('rows')",
        main="work(); logging.getLogger('lib').warning('oh'); logging.getLogger('bare').warning('no')",
    )
    run = f"Flow run {record.flow_run().name!r}"
    assert shown == [
        "INFO    | Task run 'work-0' (lib.db) - rows",
        f"WARNING | {run} (lib) - oh",
        f"WARNING | {run} (bare) - no",
    ]
    assert told(record) == [(20, "lib.db", "rows"), (30, "lib", "oh"), (30, "bare", "no")]


@pytest.mark.parametrize("log_prints", [False, True])
def test_the_terminal_shows_a_line_as_the_program_wants_it_where_it_has_a_handler(
    log_prints: bool, record: Record, programs: Programs
) -> None:
    shown = ran(
        programs,
        "root",
        log_prints=log_prints,
        before="logging.basicConfig(level='INFO', format='mine: %(message)s')",
        work="logging.getLogger('lib').info('said'); logging.debug('too low')",
    )
    assert shown == ["mine: said"]
    assert told(record) == [(20, "lib", "said")]


def test_root_means_all_loggers_and_warnings_that_are_logged(record: Record, programs: Programs) -> None:
    ran(
        programs,
        "root",
        before="logging.captureWarnings(True)",
        work="logging.info('plain'); logging.getLogger('a.b.c').debug('no'); logging.getLogger('d').info('yes')",
        main="work(); warnings.warn('careful'); get_run_logger().info('mine')",
    )
    (level, logger, message) = told(record)[-1]
    assert told(record)[:-1] == [(20, "root", "plain"), (20, "d", "yes")]
    assert (level, logger) == (30, "py.warnings")
    assert "UserWarning: careful" in message
    assert not message.endswith("\n")
    assert record.messages().count("mine") == 1


def test_logging_may_be_configured_inside_a_run(record: Record, programs: Programs) -> None:
    """`basicConfig` finds no handler of ours, and `dictConfig` silences neither the run nor the loggers it names."""
    shown = ran(
        programs,
        "lib",
        before="lib = logging.getLogger('lib')",
        work="logging.basicConfig(level='WARNING', format='basic: %(message)s'); lib.warning('one')",
        main="""logger = get_run_logger(); work()
    logging.config.dictConfig({
        "version": 1, "formatters": {"f": {"format": "dict: %(message)s"}},
        "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f"}},
        "root": {"level": "INFO", "handlers": ["h"]},
    })
    assert lib.disabled, "as the program has asked for"
    lib.info("two"); logger.info("three"); get_run_logger().info("four"); logging.getLogger("new").info("five")""",
    )
    source = f"Flow run {record.flow_run().name!r}"
    five = [shown.pop(place) for place, line in enumerate(shown) if line.startswith("dict")]
    assert shown == [
        "basic: one",
        f"INFO    | {source} (lib) - two",
        f"INFO    | {source} - three",
        f"INFO    | {source} - four",
    ]
    assert five == ["dict: five"]
    assert told(record) == [(30, "lib", "one"), (20, "lib", "two")]
    assert [message for message in record.messages() if message in ("three", "four")] == ["three", "four"]


@pytest.mark.parametrize("where", ["isolated", "pool"])
def test_worker_processes_take_lines_too(where: str, record: Record, programs: Programs) -> None:
    decorated = {
        "isolated": "work = work.with_options(isolation='process')",
        "pool": "from penstock.task_runners import ProcessPoolTaskRunner; main = main.with_options("
        "task_runner=ProcessPoolTaskRunner(max_workers=1))",
    }[where]
    program = PROGRAM.format(
        before="",
        log_prints=False,
        work="logging.getLogger('lib').info('from a worker')",
        main=f"{'work()' if where == 'isolated' else 'work.submit().wait()'}; logging.getLogger('lib').info('here')",
    ).replace("if __name__", f"{decorated}\nif __name__")
    done = programs.run(program, PENSTOCK_LOGGING_EXTRA_LOGGERS="lib")
    assert done.code == 0, done.stderr
    assert told(record) == [(20, "lib", "from a worker"), (20, "lib", "here")]
    assert [line.task_run_id for line in lines(record)] == [record.task_run().id, None]
    assert "| INFO    | Task run 'work-0' (lib) - from a worker\n" in done.stderr


def test_two_tasks_at_once_do_not_mix(record: Record, lib: logging.Logger) -> None:
    both = threading.Barrier(2)

    @task
    def work(number: int) -> None:
        for _ in range(20):
            both.wait(20)
            lib.info("of %d", number)

    @flow
    def main() -> None:
        for future in [work.submit(0), work.submit(1)]:
            future.result()

    main()
    names = {run.id: int(run.name.rpartition("-")[2]) for run in record.task_runs()}
    whose = [(line.message, names[line.task_run_id]) for line in lines(record) if line.task_run_id]
    assert sorted(whose) == [("of 0", 0)] * 20 + [("of 1", 1)] * 20
