"""`get_run_logger()`: the standard library's logging, in the run's log."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from penstock import flow, get_run_logger, task
from penstock.exceptions import MissingContextError
from penstock.logging import get_logger

from .kit import Record


def said(record: Record) -> list[tuple[int, str]]:
    return [(line.level, line.message) for line in record.lines() if line.function is not None]


def test_lines_have_their_level_their_run_and_their_place(record: Record) -> None:
    @task
    def work() -> None:
        get_run_logger().warning("in the task: %s of %d", "one", 3)

    @flow
    def main() -> None:
        logger = get_run_logger()
        logger.info("in the flow")
        logger.error("bad")
        logger.critical("worse")
        logger.log(25, "between")
        work()

    main()
    assert said(record) == [
        (20, "in the flow"),
        (40, "bad"),
        (50, "worse"),
        (25, "between"),
        (30, "in the task: one of 3"),
    ]
    line = next(line for line in record.lines() if line.message.startswith("in the task"))
    assert (line.task_run_id, line.logger) == (record.task_run().id, "penstock.task_runs")
    assert (line.file, line.function) == (__file__, "work")
    assert line.line == work.fn.__code__.co_firstlineno + 2


@pytest.mark.parametrize(("level", "kept"), [("INFO", ["info"]), ("DEBUG", ["debug", "info"]), ("ERROR", [])])
def test_the_level_of_the_settings_decides(
    level: str, kept: list[str], record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", level)

    @flow
    def main() -> None:
        get_run_logger().debug("debug")
        get_run_logger().info("info")

    main()
    assert [message for _, message in said(record)] == kept


def test_exceptions_are_written_with_their_traceback(record: Record) -> None:
    @flow
    def main() -> None:
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            get_run_logger().exception("it went wrong")

    main()
    ((level, message),) = said(record)
    assert level == 40
    assert message.startswith("it went wrong\nTraceback (most recent call last):")
    assert message.endswith("ZeroDivisionError: division by zero")


def test_stack_info_is_written_too(record: Record) -> None:
    @flow
    def main() -> None:
        get_run_logger().info("where am I", stack_info=True)

    main()
    ((_, message),) = said(record)
    assert "Stack (most recent call last)" in message


def test_a_logger_may_be_handed_to_another_thread(record: Record) -> None:
    @task
    def work() -> None:
        logger = get_run_logger()
        threads = [
            threading.Thread(target=logger.info, args=("handed",)),
            threading.Thread(target=lambda: get_run_logger().info("asked")),
        ]
        for thread in threads:
            thread.start()
            thread.join()

    @flow
    def main() -> None:
        work()

    main()
    lines = [line for line in record.lines() if line.message in ("handed", "asked")]
    assert [line.task_run_id for line in lines] == [record.task_run().id] * 2


def test_a_logger_of_the_flow_used_in_a_task_is_still_the_flows(record: Record) -> None:
    @task
    def work(logger: Any) -> None:
        logger.info("whose?")

    @flow
    def main() -> None:
        work(get_run_logger())

    main()
    (line,) = [line for line in record.lines() if line.message == "whose?"]
    assert line.task_run_id is None


def test_outside_of_runs_there_is_no_run_logger() -> None:
    with pytest.raises(MissingContextError, match=r"get_run_logger.*logging.getLogger"):
        get_run_logger()


def test_there_is_none_in_the_next_program_part_either(record: Record) -> None:
    @flow
    def main() -> None:
        get_run_logger()

    main()
    with pytest.raises(MissingContextError):
        get_run_logger()


def test_a_task_outside_flows_has_its_own_log(record: Record) -> None:
    @task
    def alone() -> None:
        get_run_logger().info("alone")

    alone()
    run = record.task_run()
    assert [line.task_run_id for line in record.lines(run) if line.message == "alone"] == [run.id]


def test_a_message_that_cannot_be_made_is_no_reason_to_fail(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)

    @flow
    def main() -> int:
        get_run_logger().info("%d", "not a number")
        get_run_logger().info("fine")
        return 1

    assert main() == 1
    assert (20, "fine") in said(record)


def test_loggers_of_ones_own_below_penstock_write_to_the_run_they_are_in(record: Record) -> None:
    @flow
    def main() -> None:
        get_logger("mine").warning("from get_logger")

    main()
    get_logger("mine").warning("outside of runs")
    assert said(record) == [(30, "from get_logger")]


def test_logging_of_the_program_is_not_touched(record: Record) -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers)

    @flow
    def main() -> None:
        get_run_logger().info("x")

    main()
    assert (root.level, list(root.handlers)) == before


def test_a_line_is_recorded_once_whatever_handlers_the_program_has(record: Record) -> None:
    seen: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:

        @flow(log_prints=True)
        def main() -> None:
            get_run_logger().info("once")

        main()
    finally:
        logging.getLogger().removeHandler(handler)
    assert said(record) == [(20, "once")]


def test_extra_fields_are_no_trouble(record: Record) -> None:
    @flow
    def main() -> None:
        get_run_logger().info("with extra", extra={"user": "me"})

    main()
    assert said(record) == [(20, "with extra")]
