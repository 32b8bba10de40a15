"""The list of runs: searched, live, and many cancelled at once; all of it by keys as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from .kit import House, Watched

pytestmark = pytest.mark.chromium
Look = Callable[..., Watched]


def test_a_run_appears_and_changes_where_it_stands(house: House, look: Look) -> None:
    page = look().go("/runs?q=flow%3Arelease")
    expect(page.get_by_text("No run fits.")).to_be_visible()
    run, _ = house.begun("release", "Paused")
    expect(page.get_by_role("row", name=run.name)).to_contain_text("Paused")


def test_many_runs_are_cancelled_and_what_that_comes_to_is_said_first(house: House, look: Look) -> None:
    first, first_program = house.begun("ticking")
    second, second_program = house.begun("ticking")
    page = look().go("/runs?q=flow%3Aticking%20state%3ARunning")
    page.get_by_label(f"Choose {first.name}").check()
    page.get_by_label(f"Choose {second.name}").check()
    page.get_by_role("button", name="Cancel 2 runs").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 runs: 2 at work: told to stop, and killed after the grace period.")
    expect(dialog).to_contain_text(first.name)
    assert first_program.poll() is None
    dialog.get_by_role("button", name="Cancel 2 runs").click()
    assert first_program.wait(15) != 0
    assert second_program.wait(15) != 0
    # They stay where they are, though they do not fit the search any more.
    expect(page.get_by_role("row", name=first.name)).to_contain_text("Cancelled")


def test_a_search_that_means_nothing_says_what_can_be_searched(house: House, look: Look) -> None:
    page = look().go("/runs")
    field = page.get_by_role("searchbox", name="Search runs")
    field.fill("state:Exploded")
    field.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("There is no state Exploded; there are Scheduled, Late")


def test_everything_goes_by_keys(house: House, look: Look) -> None:
    run, program = house.begun("ticking")
    page = look().go("/deployments")
    expect(page.get_by_role("heading", name="Deployments")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type(run.name)
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)  # its head and the run
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text(run.name)
    page.keyboard.press("c")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.press("c")
    dialog.get_by_role("button", name="Cancel the run").focus()
    expect(dialog.get_by_role("button", name="Cancel the run")).to_be_enabled()
    page.keyboard.press("Enter")
    assert program.wait(15) != 0
    page.keyboard.press("?")
    expect(dialog).to_contain_text("go to Deployments")
