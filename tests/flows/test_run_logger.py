"""`get_run_logger()`: the standard library's logging, in the run's log."""

from __future__ import annotations

import copy
import io
import logging
import logging.config
import pickle
import threading
from typing import Any

import pytest

from penstock import flow, get_run_logger, quote, task
from penstock.context import get_run_context
from penstock.exceptions import MissingContextError
from penstock.logging import disable_run_logger, flow_run_logger, get_logger, mask_secret, task_run_logger

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


def test_a_level_may_be_any_number(record: Record) -> None:
    @flow
    def main() -> None:
        for level in (2**31, 2**63, 2**70):
            get_run_logger().log(level, "high")

    main()
    assert said(record) == [(2**31 - 1, "high")] * 3


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


def test_a_message_that_does_not_fit_its_arguments_is_told_as_it_is(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("penstock").handlers.clear()  # pytest's raise what they cannot write

    @flow(log_prints=True)
    def main() -> int:
        get_run_logger().info("%d rows, 100%", 3)
        get_run_logger().info("fine")
        return 1

    assert main() == 1
    assert said(record) == [(20, "%d rows, 100% (3,) (ValueError: incomplete format)"), (20, "fine")]
    assert "Logging error" not in capsys.readouterr().err


def test_a_message_that_cannot_be_made_is_no_reason_to_fail(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("penstock").handlers.clear()

    class Broken:
        def __str__(self) -> str:
            raise ValueError("no text")

        __repr__ = __str__

    @flow(log_prints=True)
    def main() -> int:
        get_run_logger().info(Broken())
        get_run_logger().info("fine")
        return 1

    assert main() == 1
    assert said(record) == [(20, "fine")]
    assert capsys.readouterr().err.count("--- Logging error ---") == 1


def test_loggers_of_ones_own_below_penstock_write_to_the_run_they_are_in_and_elsewhere_to_the_terminal(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    @flow
    def main() -> None:
        get_logger("mine").debug("debug")
        get_logger("mine").info("info")
        get_logger("mine").warning("warning")

    main()
    assert said(record) == [(20, "info"), (30, "warning")]
    assert capsys.readouterr().err.count("| WARNING | ") == 1
    get_logger("mine").warning("outside of runs")
    assert said(record) == [(20, "info"), (30, "warning")]
    assert capsys.readouterr().err.endswith(" | WARNING | penstock.mine - outside of runs\n")


def test_secrets_are_masked_outside_of_runs_too(capsys: pytest.CaptureFixture[str]) -> None:
    mask_secret("swordfish-41")
    get_logger("mine").warning("the password is %s", "swordfish-41")
    assert capsys.readouterr().err.endswith("| WARNING | penstock.mine - the password is ********\n")


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


def test_extra_fields_are_for_handlers_and_no_trouble(record: Record) -> None:
    seen: list[Any] = []
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[method-assign]
    logging.getLogger("penstock.flow_runs").addHandler(handler)
    try:

        @flow
        def main() -> None:
            logger = get_run_logger(user="me", name="not that of the logger")
            logger.info("one")
            logger.info("two", extra={"user": "you", "place": 2, "message": "mine", "args": 1})
            logger.info("three", extra=None)

        main()
    finally:
        logging.getLogger("penstock.flow_runs").removeHandler(handler)
    assert said(record) == [(20, "one"), (20, "two"), (20, "three")]
    assert [(each.user, getattr(each, "place", None), each.name) for each in seen] == [
        ("me", None, "penstock.flow_runs"),
        ("you", 2, "penstock.flow_runs"),
        ("me", None, "penstock.flow_runs"),
    ]


def test_formats_of_handlers_may_name_the_run(record: Record) -> None:
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    names = "flow_name", "flow_run_name", "flow_run_id", "task_name", "task_run_name", "task_run_id"
    handler.setFormatter(logging.Formatter(" ".join(f"%({name})s" for name in names)))
    logging.getLogger("penstock").addHandler(handler)

    @task
    def work() -> None:
        get_run_logger().info("in the task")

    @flow
    def main() -> None:
        get_run_logger().info("in the flow")
        work()

    try:
        main()
        work()
    finally:
        logging.getLogger("penstock").removeHandler(handler)
    run, (inside, alone) = record.flow_run(), record.task_runs()
    of_flow = f"main {run.name} {run.id}"
    assert text.getvalue().splitlines() == [
        f"{of_flow} None None None",
        f"{of_flow} work {inside.name} {inside.id}",
        f"None None None work {alone.name} {alone.id}",
    ]


def test_a_logger_may_be_copied_and_sent_to_another_process(record: Record) -> None:
    @task(isolation="process")
    def work(logger: Any) -> None:
        logger.info("the flow's, from a worker")
        get_run_logger().info("the task's, from a worker")

    @flow
    def main() -> None:
        logger = get_run_logger(user="me")
        for each in (copy.copy(logger), copy.deepcopy(logger), pickle.loads(pickle.dumps(logger))):
            assert each.name == logger.name
            each.info("the flow's")
        work(logger)

    main()
    task_run = record.task_run()
    assert [(line.task_run_id, line.message) for line in record.lines() if line.function is not None] == [
        *[(None, "the flow's")] * 3,
        (None, "the flow's, from a worker"),
        (task_run.id, "the task's, from a worker"),
    ]


def test_the_logger_of_another_run_is_had_by_its_context(record: Record) -> None:
    @task
    def work(above: Any) -> None:
        get_run_logger(above).info("the flow's")
        get_run_logger(context=above).getChild("part").info("a part of the flow's")

    @flow
    def main() -> None:
        work(quote(get_run_context()))

    main()
    assert said(record) == [(20, "the flow's"), (20, "a part of the flow's")]
    assert [(line.task_run_id, line.logger) for line in record.lines() if line.function is not None] == [
        (None, "penstock.flow_runs"),
        (None, "penstock.flow_runs.part"),
    ]
    with pytest.raises(TypeError, match=r"get_run_context\(\) gives, not a str"):
        get_run_logger("the flow")  # type: ignore[arg-type]


def test_hooks_have_the_logger_of_their_run(record: Record) -> None:
    def of_task(task: Any, run: Any, state: Any) -> None:
        task_run_logger(run, task).info("of the task: %s", state.name)

    def of_flow(flow: Any, run: Any, state: Any) -> None:
        flow_run_logger(run, flow).info("of the flow: %s", state.name)

    @task(on_failure=[of_task])
    def work() -> None:
        flow_run_logger(get_run_context().parent.run).info("from the task")  # type: ignore[union-attr, arg-type]
        raise ValueError("expected")

    @flow(on_failure=[of_flow])
    def main() -> None:
        work()

    assert main(return_state=True).is_failed()
    task_run = record.task_run()
    assert [(line.task_run_id, line.message) for line in record.lines() if line.function is not None] == [
        (None, "from the task"),
        (task_run.id, "of the task: Failed"),
        (None, "of the flow: Failed"),
    ]
    with pytest.raises(MissingContextError, match="work-0"):
        task_run_logger(task_run)


def test_no_configuration_silences_a_run(record: Record) -> None:
    @flow
    def main() -> None:
        logger = get_run_logger()
        logging.config.dictConfig({"version": 1, "loggers": {"penstock": {"level": "ERROR", "handlers": []}}})
        assert logging.getLogger("penstock.flow_runs").disabled or not logging.getLogger("penstock").handlers
        logger.info("old")
        get_run_logger().info("new")

    before = {name: logging.getLogger(name).disabled for name in logging.root.manager.loggerDict}
    try:
        main()
    finally:
        for name, disabled in before.items():
            logging.getLogger(name).disabled = disabled
        logging.getLogger("penstock").setLevel(logging.NOTSET)
    assert said(record) == [(20, "old"), (20, "new")]


def test_logging_that_is_disabled_for_the_program_is_so_for_runs(record: Record) -> None:
    @flow
    def main() -> None:
        logger = get_run_logger()
        logger.info("before")
        logging.disable(logging.INFO)
        try:
            logger.info("meanwhile")
        finally:
            logging.disable(logging.NOTSET)
        logger.info("after")

    main()
    assert said(record) == [(20, "before"), (20, "after")]


# --- without a run ---------------------------------------------------------------------------------------------------


def test_functions_can_be_tested_without_their_run(capsys: pytest.CaptureFixture[str]) -> None:
    @task
    def double(number: int) -> int:
        get_run_logger(user="me").info("doubling %d", number)
        get_run_logger().getChild("part").error("?")
        return 2 * number

    with disable_run_logger():
        with disable_run_logger():
            assert double.fn(2) == 4
        assert double.fn(3) == 6
    assert capsys.readouterr() == ("", "")
    with pytest.raises(MissingContextError, match="disable_run_logger"):
        double.fn(2)


def test_runs_have_no_voice_either_where_their_loggers_are_disabled(record: Record) -> None:
    @flow
    def main() -> None:
        logger = get_run_logger()
        with disable_run_logger():
            logger.error("no")
            get_run_logger().error("no")
        logger.info("yes")

    main()
    assert said(record) == [(20, "yes")]
