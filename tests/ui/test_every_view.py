"""Every view, light and dark, wide and narrow: it is there, fits, and can be used by everybody."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from playwright.sync_api import expect

from penstock.api import ui
from penstock.cli.main import root
from penstock.domain.states import LOOKS

from ..flows.kit import SOURCE
from .kit import House, Watched

pytestmark = pytest.mark.chromium
Look = Callable[..., Watched]
UI = SOURCE.parent / "ui"
BUILT = SOURCE / "penstock" / "api" / "static"
AXE = UI / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = {
    "/runs": "Runs", "/deployments": "Deployments", "/work-pools": "Work pools", "/limits": "Limits",
    "/blocks": "Blocks & variables", "/approvals": "Approvals", "/system": "System",
    "/system?tab=settings": "System", "/system?tab=audit": "System",
}  # fmt: skip
TABS = ("timeline", "graph", "logs", "parameters", "result", "artifacts", "states", "infrastructure")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with something in every view."""
    found = House(tmp_path_factory.mktemp("full"))
    cli = [sys.executable, "-m", "penstock"]
    environment = {"PYTHONPATH": str(SOURCE), "PENSTOCK_HOME": str(found.home), "PENSTOCK_API_URL": found.server.url}
    entrypoint = f"{Path(__file__).parent / 'programs.py'}:etl"
    for arguments in (
        ["work-pool", "create", "my-pool", "--type", "process"],
        ["concurrency-limit", "create", "database", "--tag", "--limit", "2"],
        ["variable", "set", "answer", "42"],
        ["deploy", entrypoint, "-n", "nightly", "-p", "my-pool", "--cron", "0 2 * * *"],
    ):
        subprocess.run([*cli, *arguments], env={**os.environ, **environment}, check=True, cwd=found.home)
    found.run("too_slow")
    found.known["etl"] = found.run("etl")
    found.begun("release", "Paused")
    yield found
    found.close()


def every_path(house: House) -> list[str]:
    run = house.known["etl"]
    tabs = [f"/flow-runs/flow-run/{run.id}?tab={tab}" for tab in TABS]
    return [*VIEWS, *tabs]


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 375)])
def test_axe_finds_nothing_serious_and_nothing_is_too_wide(house: House, look: Look, theme: str, width: int) -> None:
    watched = look(color_scheme=theme, viewport={"width": width, "height": 800}, bypass_csp=True)
    page = watched.page
    found = []
    for path in every_path(house):
        watched.go(path)
        expect(page.locator("h1")).to_be_visible()
        page.wait_for_timeout(300)  # what comes after the first answer is looked at as well
        page.add_script_tag(path=AXE)
        violations = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)")
        for each in violations:
            if each["impact"] in ("serious", "critical"):
                found.append(f"{path}: {each['id']}: {each['nodes'][0]['html'][:200]}")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            found.append(f"{path} is {wide} pixels too wide")
    assert not found, "\n".join(found)


def test_a_deployment_is_run_with_a_form_from_its_parameters(house: House, look: Look) -> None:
    page = look().go("/deployments")
    page.get_by_role("link", name="nightly").click()
    expect(page.locator("h1")).to_contain_text("nightly")
    page.get_by_role("tab", name="Schedules").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("at 02:00 every day")
    page.get_by_role("button", name="Run", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("parts")).to_have_value("3")
    dialog.get_by_label("parts").fill("many")
    dialog.get_by_role("button", name="Run", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("parts")
    dialog.get_by_label("parts").fill("4")
    dialog.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("h1")).to_contain_text("Scheduled")
    page.get_by_role("tab", name="Parameters").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("4")


def test_a_queue_that_nothing_polls_is_said_in_red(house: House, look: Look) -> None:
    page = look().go("/work-pools")
    expect(page.locator(".alarm", has_text="Nothing has ever polled this queue")).to_be_visible()
    expect(page.locator(".alarm", has_text="No worker takes runs from this pool")).to_be_visible()


def test_a_run_says_why_it_waits(house: House, look: Look) -> None:
    cli = [sys.executable, "-m", "penstock", "deployment", "run", "etl/nightly", "--flow-run-name", "asked"]
    environment = {"PYTHONPATH": str(SOURCE), "PENSTOCK_HOME": str(house.home), "PENSTOCK_API_URL": house.server.url}
    subprocess.run(cli, env={**os.environ, **environment}, check=True, cwd=house.home, stdout=subprocess.DEVNULL)
    (run,) = (run for run in house.runs("etl") if run.name == "asked")
    page = look().go(f"/flow-runs/flow-run/{run.id}")
    expect(page.get_by_text("No worker is online for queue 'default' of work pool 'my-pool'")).to_be_visible()


def test_an_address_that_is_not_there_is_a_page_with_status_404(house: House, look: Look) -> None:
    watched = look()
    answer = watched.page.goto(f"{house.origin}/nowhere")
    assert answer is not None
    assert answer.status == 404
    expect(watched.page.get_by_text("There is nothing at this address.")).to_be_visible()


def test_the_bundle_stays_small() -> None:
    scripts = sum(len(gzip.compress(each.read_bytes())) for each in BUILT.glob("*.js"))
    styles = sum(len(gzip.compress(each.read_bytes())) for each in BUILT.glob("*.css"))
    assert 0 < scripts < 90_000
    assert 0 < styles < 15_000


def test_what_the_ui_has_from_python_is_current() -> None:
    path = UI / "generate.py"
    made = subprocess.run(
        [sys.executable, "-c", f"import runpy; found = runpy.run_path({str(path)!r}); "
         "import json; print(json.dumps({name: make() for name, make in found['FILES'].items()}))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name, text in json.loads(made.stdout).items():
        assert (UI / "src" / "generated" / name).read_text() == text, f"{name}: run python ui/generate.py"
    assert all(colour in (UI / "src" / "generated" / "states.css").read_text() for colour, _ in LOOKS.values())


def test_the_commands_that_the_ui_shows_are_commands() -> None:
    """With all that is named in them: groups, commands and options."""
    shown = {
        match
        for path in (UI / "src").rglob("*.tsx")
        for match in re.findall(r'(?<!from )penstock((?: [a-z][a-z-]+)+)((?: [^`\\"<{\n]*)?)', path.read_text())
    }
    assert len(shown) > 15
    for words, rest in shown:
        names, command, context = words.split(), root, click.Context(root)
        while names and isinstance(command, click.Group):
            found = command.get_command(context, names[0])
            assert found is not None, f"penstock{words}: there is no {names[0]}"
            command, names = found, names[1:]
        options = {option for parameter in command.params for option in parameter.opts}
        wanted = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest))
        assert wanted <= options | {"--help"}, f"penstock{words}{rest}: no {wanted - options}"


def test_server_and_page_know_the_same_places() -> None:
    cases = set(re.findall(r'case "([a-z-]*)":', (UI / "src" / "app.tsx").read_text()))
    assert cases == ui.PLACES
