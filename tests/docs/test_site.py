"""The site is whole: every page is in the navigation, links lead somewhere, and nothing is fetched from elsewhere."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from .conftest import ROOT

DOCS = ROOT / "docs"
# What a browser fetches by itself, by the attribute that names it.
FETCHED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "link": "href",
}
MODULES = sorted(path.stem for path in (DOCS / "api").glob("*.md"))
# Names that are explained in a table of pages by hand, and where.
ELSEWHERE = {"penstock": {"__version__"}, "penstock.task_runners": {"ConcurrentTaskRunner"}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as strictly as can be: a warning is the end of it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return folder


class Fetched(HTMLParser):
    """What a page has a browser fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") in ("canonical", "prev", "next"):
            return
        address = given.get(FETCHED.get(tag, ""))
        if address:
            self.found.append(address)


def test_every_warning_is_an_error() -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (checks,) = re.findall(r"^validation:\n((?:  .*\n)+)", config, re.M)

    for name in ("omitted_files", "not_found", "anchors", "absolute_links", "unrecognized_links"):
        assert re.search(rf"\b{name}: warn\b", checks), name
    assert not re.search(r": (info|ignore|relative_to_docs)\b", checks)


def test_every_page_is_in_the_navigation_and_built(site: Path) -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r": ([\w/-]+\.md)$", config.partition("\nnav:")[2], re.M)
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]

    assert sorted(named) == sorted(pages)
    for page in pages:
        where = site if page == "index.md" else site / page.removesuffix(".md")
        assert (where / "index.html").is_file(), page


def test_nothing_is_fetched_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    foreign = [
        (page.relative_to(site).as_posix(), address)
        for page in pages
        for address in Fetched(page.read_text(encoding="utf-8")).found
        if re.match(r"(?:[a-z]+:)?//", address)
    ]
    styles = [
        (style.name, address)
        for style in site.rglob("*.css")
        for address in re.findall(
            r"(?:url\(|@import)\s*['\"]?((?:[a-z]+:)?//[^'\")]+)", style.read_text(encoding="utf-8")
        )
    ]

    assert len(pages) > 60
    assert not foreign
    assert not styles


def test_no_page_has_what_makes_the_theme_fetch_a_drawing_program(site: Path) -> None:
    assert not [page for page in site.rglob("*.html") if re.search(r'class="mermaid', page.read_text(encoding="utf-8"))]
    assert "<td>nothing: it is over</td>" in (site / "states" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODULES)
def test_the_reference_shows_all_that_a_module_offers(site: Path, name: str) -> None:
    module = "penstock" if name == "penstock" else f"penstock.{name}"
    html = (site / "api" / name / "index.html").read_text(encoding="utf-8")
    shown = {found.rpartition(".")[2] for found in re.findall(r'<h\d id="([\w.]+)" class="doc doc-heading"', html)}
    offered = set(getattr(importlib.import_module(module), "__all__", ())) - ELSEWHERE.get(module, set())

    if name == "settings":  # the settings themselves are a table of their own
        offered = {each for each in offered if not each.startswith("PENSTOCK_")} - {"SETTINGS", "Settings"}
    if name == "runtime":  # names that are made when they are asked for
        assert "<code>scheduled_start_time</code>" in html
        return
    assert offered <= shown
    assert len(shown) >= 1


def test_info_strings_of_the_tests_are_not_seen(site: Path) -> None:
    wrong = [
        page for page in site.rglob("*.html") if "```" in re.sub(r"<code.*?</code>", "", page.read_text(), flags=re.S)
    ]

    assert not wrong


def test_links_out_of_the_pages_lead_to_pages_of_the_site(site: Path) -> None:
    first = (site / "first-flow" / "index.html").read_text(encoding="utf-8")
    example = (site / "files" / "examples" / "async_flow.py" / "index.html").read_text(encoding="utf-8")
    readme = (site / "files" / "index.html").read_text(encoding="utf-8")

    assert 'href="../files/examples/async_flow.py/"' in first
    assert "async" in example
    assert 'href="../stopping/#the-watchdog"' in readme
