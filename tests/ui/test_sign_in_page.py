"""Who is not signed in sees nothing; who may only look sees no button that works."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from penstock.domain.accounts import ADMIN, OPERATOR, VIEWER
from penstock.services import accounts
from penstock.store.opening import open_store

from .kit import House, Watched

pytestmark = pytest.mark.chromium
Look = Callable[..., Watched]
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    found = House(tmp_path_factory.mktemp("signed"))
    found.known["paused"], _ = found.begun("release", "Paused")
    with contextlib.closing(open_store(found.home / "penstock.db", spool_folder=found.home / "spool")) as store:
        for name, role in (("ann", ADMIN), ("otto", OPERATOR), ("vera", VIEWER)):
            accounts.create_user(store, name, role, PASSWORD, datetime.now(UTC))
    yield found
    found.close()


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_nothing_is_seen_before_somebody_signs_in_and_then_what_was_asked_for(house: House, look: Look) -> None:
    run = house.known["paused"]
    page = look().go(f"/flow-runs/flow-run/{run.id}")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.get_by_text(run.name)).to_have_count(0)
    sign_in(page, "otto", "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    sign_in(page, "otto")
    expect(page.locator("h1")).to_contain_text(run.name)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_viewer_sees_no_button_that_works(house: House, look: Look) -> None:
    run = house.known["paused"]
    page = look().go(f"/flow-runs/flow-run/{run.id}")
    sign_in(page, "vera")
    for name in ("Resume", "Cancel"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()
    page.keyboard.press("c")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto(f"{house.origin}/approvals")
    expect(page.get_by_role("button", name="Resume")).to_be_disabled()
    page.goto(f"{house.origin}/work-pools")
    expect(page.get_by_role("button", name="Make a pool")).to_be_disabled()
    page.goto(f"{house.origin}/system")
    expect(page.get_by_role("tab", name="Health")).to_be_visible()
    expect(page.get_by_role("tab", name="Settings")).to_have_count(0)


def test_an_operator_may_act_and_it_is_said_who_did(house: House, look: Look) -> None:
    run = house.known["paused"]
    page = look().go("/approvals")
    sign_in(page, "otto")
    page.get_by_role("listitem").filter(has_text=run.name).get_by_role("button", name="Resume").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("version").fill("3.0")
    dialog.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Nothing waits for anybody.")).to_be_visible()
    page.goto(f"{house.origin}/flow-runs/flow-run/{run.id}?tab=states")
    expect(page.get_by_role("tabpanel")).to_contain_text("otto")
