"""Timers: called at their moment, in their order, by one thread that ends when there is nothing to do."""

from __future__ import annotations

import threading
import time

import pytest

from penstock.engine.timers import Timers

from ..flows.kit import until


def test_timers_are_called_in_the_order_of_their_moments() -> None:
    timers, called = Timers(), []
    for delay in (0.06, 0.02, 0.04, 0.0):
        timers.after(delay, lambda delay=delay: called.append(delay))
    until(lambda: len(called) == 4, 5)
    assert called == [0.0, 0.02, 0.04, 0.06]


def test_a_timer_is_not_called_before_its_moment() -> None:
    began, called = time.monotonic(), []
    Timers().after(0.1, lambda: called.append(time.monotonic()))
    until(lambda: called, 5)
    assert 0.1 <= called[0] - began < 0.6


def test_a_nearer_timer_overtakes_one_that_is_waited_for() -> None:
    timers, called = Timers(), threading.Event()
    timers.after(30, lambda: None)
    timers.after(0.01, called.set)
    assert called.wait(5)


def test_a_cancelled_timer_is_not_called() -> None:
    timers, called = Timers(), []
    timer = timers.after(0.02, lambda: called.append("cancelled"))
    timers.after(0.06, lambda: called.append("other"))
    timer.cancel()
    timer.cancel()
    until(lambda: called, 5)
    assert called == ["other"]


def test_an_action_that_raises_takes_no_other_with_it(capfd: pytest.CaptureFixture[str]) -> None:
    timers, called = Timers(), threading.Event()
    timers.after(0, lambda: 1 / 0)
    timers.after(0.01, called.set)
    assert called.wait(5)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_many_timers_that_are_cancelled_are_forgotten() -> None:
    timers = Timers()
    for _ in range(10_000):
        timers.after(0.001, lambda: None).cancel()
    until(lambda: len(timers._heap) == 0, 5)


def test_an_action_may_set_a_timer() -> None:
    timers, called = Timers(), threading.Event()
    timers.after(0, lambda: timers.after(0, called.set))
    assert called.wait(5)
