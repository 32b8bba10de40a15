"""What is said of a failed attempt, and how long it is until the next."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import task
from penstock.domain.errors import ServerRefusedError, ServerUnavailableError
from penstock.engine.attempts import OURS, aborted_state, describe, retry_delay, without_ours
from penstock.engine.clock import SYSTEM


def work(**options: Any) -> Any:
    return task(name="work", **options)(lambda: None)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=20), st.integers(1, 40))
def test_of_a_list_the_last_delay_is_for_all_further_tries(delays: list[float], attempt: int) -> None:
    expected = delays[attempt - 1] if attempt <= len(delays) else delays[-1]
    assert retry_delay(work(retries=40, retry_delay_seconds=delays), attempt, 9.0) == expected


@given(st.floats(0, 1000), st.floats(0, 3), st.integers(1, 5))
def test_jitter_stays_within_its_factor(delay: float, jitter: float, attempt: int) -> None:
    found = retry_delay(work(retries=5, retry_delay_seconds=delay), attempt, 0.0, jitter)
    assert max(0.0, delay * (1 - jitter)) - 1e-9 <= found <= delay * (1 + jitter) + 1e-9


def test_without_a_delay_of_its_own_the_settings_count() -> None:
    assert retry_delay(work(retries=1), 1, 2.5) == 2.5
    assert retry_delay(work(retries=1, retry_delay_seconds=0), 1, 2.5) == 0


@pytest.mark.parametrize("bad", [lambda retries: "soon", lambda retries: ["soon"], lambda retries: object()])
def test_a_function_that_gives_no_delay_is_an_error(bad: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        retry_delay(work(retries=1, retry_delay_seconds=bad), 1, 2.5)


def test_errors_are_described_in_bounded_words() -> None:
    assert describe(ValueError("boom")) == "ValueError: boom"
    assert describe(ValueError()) == "ValueError"
    assert len(describe(ValueError("x" * 10**6))) == 2000


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (SystemExit(3), "Crashed"),
        (SystemExit("words"), "Crashed"),
        (KeyboardInterrupt(), "Cancelled"),
        (GeneratorExit(), "Crashed"),
    ],
)
def test_an_end_that_is_no_error_has_its_own_state(error: BaseException, name: str) -> None:
    assert aborted_state(error, SYSTEM.now()).name == name


def test_a_traceback_without_ours_is_the_users() -> None:
    try:
        raise ValueError
    except ValueError as error:
        kept = without_ours(error)
    assert kept.__traceback__ is not None
    assert kept.__traceback__.tb_frame.f_code.co_filename == __file__
    assert without_ours(ValueError()).__traceback__ is None


@pytest.mark.parametrize("kind", [ServerRefusedError, ServerUnavailableError])
def test_what_a_server_says_is_shown_without_our_frames(kind: type[Exception]) -> None:
    ours = compile("raise error", OURS + "/somewhere.py", "exec")
    error = kind("This server wants to know who asks.")
    try:
        exec(ours, {"error": error})
    except kind as caught:
        frame = caught.__traceback__
        assert frame is not None
        kept = without_ours(caught.with_traceback(frame.tb_next))
    assert kept.__traceback__ is None
