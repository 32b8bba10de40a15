"""The page of a run says what the run is doing and why it stopped; what is clicked there happens to the process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .kit import House, Watched

pytestmark = pytest.mark.chromium
Look = Callable[..., Watched]


def test_cancel_on_the_page_ends_a_scripts_process(house: House, look: Look) -> None:
    run, program = house.begun("ticking")
    page = look().go(f"/flow-runs/flow-run/{run.id}")
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 at work")
    dialog.get_by_role("button", name="Cancel the run").click()
    assert program.wait(15) != 0
    expect(page.locator("h1")).to_contain_text("Cancelled")
    expect(page.locator(".story")).to_contain_text("Cancelled by")
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_have_count(0)


def test_a_paused_run_goes_on_with_what_the_form_was_given_and_wrong_input_is_refused(house: House, look: Look) -> None:
    run, program = house.begun("release", "Paused")
    page = look().go(f"/flow-runs/flow-run/{run.id}")
    page.get_by_role("button", name="Resume").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("How many of the users get it first.")
    dialog.get_by_label("percent").fill("500")
    dialog.get_by_role("button", name="Resume").click()
    expect(dialog.get_by_role("alert")).to_contain_text("version")
    dialog.get_by_label("version").fill("2.7.0")
    dialog.get_by_role("button", name="Resume").click()
    expect(dialog.get_by_role("alert")).to_contain_text("percent")
    dialog.get_by_label("percent").fill("25")
    dialog.get_by_label("channel").select_option(label="stable")
    dialog.get_by_role("button", name="Resume").click()
    expect(dialog).to_have_count(0)
    assert program.wait(15) == 0
    expect(page.locator("h1")).to_contain_text("Completed")
    page.get_by_role("tab", name="Logs").click()
    expect(page.get_by_role("log")).to_contain_text("released 2.7.0 to 25 % of stable")


def test_a_timed_out_run_says_why_and_where(house: House, look: Look) -> None:
    run = house.run("too_slow")
    watched = look()
    page = watched.go("/runs?q=state%3ATimedOut")
    expect(page.get_by_role("row", name=run.name)).to_contain_text("TimedOut")
    page.get_by_role("link", name=run.name).click()
    expect(page).to_have_url(f"{house.origin}/flow-runs/flow-run/{run.id}")
    expect(page.locator("h1")).to_contain_text("TimedOut")
    story = page.locator(".story")
    expect(story).to_contain_text("Flow run exceeded timeout of 0.3 second(s)")
    expect(story.locator(".where")).to_contain_text("in too_slow")
    expect(story).to_contain_text("its code came to its end")


def test_the_log_follows_and_lets_go_when_somebody_scrolls(house: House, look: Look, program_directory: Path) -> None:
    run, _ = house.begun("ticking", directory=program_directory)
    page = look().go(f"/flow-runs/flow-run/{run.id}?tab=logs")
    log = page.get_by_role("log")
    expect(log).to_contain_text("see http")
    for number in range(60):
        (program_directory / f"tick-{number}").touch()
    expect(log.get_by_text("tick 59", exact=True)).to_be_in_viewport()
    log.evaluate("each => { each.scrollTop = 0 }")
    expect(page.get_by_role("button", name="follow the end")).to_be_visible()
    (program_directory / "tick-60").touch()
    page.wait_for_function("document.querySelector('.small').textContent.includes('lines')")
    expect(log.get_by_text("see http")).to_be_in_viewport()
    page.get_by_role("button", name="follow the end").click()
    expect(log.get_by_text("tick 60", exact=True)).to_be_in_viewport()


def test_the_log_is_searched_by_text_and_level(house: House, look: Look) -> None:
    run = house.run("etl")
    page = look().go(f"/flow-runs/flow-run/{run.id}?tab=logs")
    log = page.get_by_role("log")
    expect(log).to_contain_text("all loaded")
    page.get_by_label("Least level").select_option(label="WARNING")
    expect(log).not_to_contain_text("all loaded")
    expect(log).to_contain_text("loaded 20 rows")
    page.get_by_label("Search the log").fill("loaded 10 ROWS")
    expect(log).not_to_contain_text("loaded 20 rows")
    expect(log).to_contain_text("loaded 10 rows")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert "all loaded" in Path(download.value.path()).read_text()


def test_a_link_to_a_line_opens_the_log_there(house: House, look: Look) -> None:
    run = house.run("many_lines")
    page = look().go(f"/flow-runs/flow-run/{run.id}?tab=logs&line=15000")
    expect(page.locator(".line.chosen")).to_be_in_viewport()
    expect(page.locator(".line.chosen")).to_contain_text("of many")
    # However long the log is, only what is seen is on the page.
    assert page.locator(".line").count() < 200


def test_lines_of_other_scripts_stand_below_one_another_and_colours_of_terminals_are_left_out(
    house: House, look: Look
) -> None:
    run = house.run("odd_lines")
    page = look().go(f"/flow-runs/flow-run/{run.id}?tab=logs")
    expect(page.get_by_role("log").get_by_text("red").last).to_be_visible()
    expect(page.get_by_role("log")).not_to_contain_text("[31m")
    boxes = """[...document.querySelectorAll(".line")].map(each => each.getBoundingClientRect())
        .sort((one, other) => one.top - other.top).map(each => [each.top, each.bottom])"""
    page.wait_for_function(f"(found => found.every((each, at) => !at || each[0] >= found[at - 1][1] - 1))({boxes})")


def test_the_timeline_has_a_row_a_task_run_and_its_inspector_tells_the_rest(house: House, look: Look) -> None:
    run = house.run("etl")
    page = look().go(f"/flow-runs/flow-run/{run.id}")
    rows = page.get_by_role("option")
    expect(rows).to_have_count(7)  # six task runs and a subflow run
    retried = page.get_by_role("option", name="extract-2")
    expect(retried).to_contain_text("×2")
    # Two attempts, and between them what it waited for: hatched.
    expect(retried.locator(".bar.state-failed")).to_have_count(1)
    expect(retried.locator(".bar.waits.state-scheduled")).to_have_count(1)
    retried.click()
    inspector = page.get_by_label("Task run", exact=True)
    expect(inspector).to_contain_text("AwaitingRetry")
    expect(inspector).to_contain_text("the source did not answer")
    page.reload()  # what is chosen is in the address
    expect(inspector).to_contain_text("extract-2")


def test_the_graph_shows_what_took_values_from_what(house: House, look: Look) -> None:
    run = house.run("etl")
    page = look().go(f"/flow-runs/flow-run/{run.id}?tab=graph")
    expect(page.get_by_role("button", name="extract-1, completed")).to_be_visible()
    drawn = page.locator(".edges").first.get_attribute("d")
    assert drawn is not None
    assert drawn.count("M") == 3  # three loads take the values of three extracts


def test_artifacts_are_text_whatever_is_in_them(house: House, look: Look) -> None:
    run = house.run("etl")
    page = look().go(f"/flow-runs/flow-run/{run.id}?tab=artifacts")
    expect(page.get_by_text("# <b>not bold</b>")).to_be_visible()
    expect(page.get_by_role("cell", name="20")).to_be_visible()
    link = page.get_by_role("link", name="https://example.com/")
    expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")


def test_the_link_that_a_flow_knows_of_itself_opens_its_page(house: House, look: Look) -> None:
    run, _ = house.begun("ticking")
    page = look().go(f"/flow-runs/flow-run/{run.id}?tab=logs")
    line = page.get_by_role("log").get_by_text("see http")
    told = (line.text_content() or "").removeprefix("see ")
    assert told == f"{house.origin}/flow-runs/flow-run/{run.id}"
    page.goto(told)
    expect(page.locator("h1")).to_contain_text(run.name)
    page.goto(f"{house.origin}/runs/flow-run/{run.id}")
    expect(page.locator("h1")).to_contain_text(run.name)


def test_a_page_is_up_to_date_after_the_server_was_away(house: House, look: Look, program_directory: Path) -> None:
    run, _ = house.begun("ticking", directory=program_directory)
    page = look().go(f"/flow-runs/flow-run/{run.id}")
    expect(page.locator(".dot")).to_contain_text("live")
    house.server.kill()
    expect(page.locator(".dot")).to_contain_text("reconnecting")
    (program_directory / "tick-0").touch()
    house.server.start()
    expect(page.locator(".dot")).to_contain_text("live")
    expect(page.get_by_role("option", name="step-0")).to_contain_text("Completed")
