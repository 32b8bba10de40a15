from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from .kit import House, Watched, browsing


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    found = House(tmp_path_factory.mktemp("house"))
    yield found
    found.close()


@pytest.fixture
def look(browser: Browser, house: House) -> Iterator[Callable[..., Watched]]:
    """Opens a page at the house's server. At the end of the test nothing has gone wrong on it."""
    opened: list[Watched] = []

    def open_page(**options: Any) -> Watched:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        opened.append(Watched(context, house.origin))
        return opened[-1]

    yield open_page
    faults = [fault for each in opened for fault in each.faults]
    for each in opened:
        each.page.context.close()
    assert not faults


@pytest.fixture
def program_directory(tmp_path: Path) -> Path:
    (tmp_path / "program").mkdir()
    return tmp_path / "program"
