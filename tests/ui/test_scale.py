"""A long run stays easy to look at: little is on the page however much there is, and what changes is seen at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from .kit import House, Watched

pytestmark = pytest.mark.chromium
Look = Callable[..., Watched]


def test_of_many_task_runs_only_those_that_are_seen_are_on_the_page(house: House, look: Look) -> None:
    run = house.run("wide")
    page = look().go(f"/flow-runs/flow-run/{run.id}")
    fold = page.get_by_role("button", name="step × 1,500")
    expect(fold).to_contain_text("1,500 Completed")
    expect(page.get_by_role("option")).to_have_count(0)
    expect(page.get_by_text("1,500 runs, 1,500 of them folded")).to_be_visible()
    fold.click()
    expect(page.get_by_text("1,500 runs", exact=True)).to_be_visible()
    assert page.get_by_role("option").count() < 100
    page.locator(".rows").evaluate("each => { each.scrollTop = each.scrollHeight }")
    expect(page.get_by_role("option", name="step-1499")).to_be_in_viewport()
    page.reload()  # what is opened is in the address
    expect(fold).to_have_attribute("aria-expanded", "true")
    fold.click()
    expect(page.get_by_role("option")).to_have_count(0)


def test_a_graph_of_many_runs_counts_what_it_does_not_draw(house: House, look: Look) -> None:
    run = house.newest("wide") if house.runs("wide") else house.run("wide")
    page = look().go(f"/flow-runs/flow-run/{run.id}?tab=graph")
    expect(page.get_by_role("button", name="1,480 more of step")).to_be_visible()
    page.get_by_label("runs of one task").select_option(label="1000")
    expect(page.get_by_text("1001 nodes").or_(page.get_by_text("1,000 nodes"))).to_be_visible()
    # From afar they are blocks of colour, one piece a state.
    assert page.locator(".spot").count() < 500
