"""The README's flow is ten lines, runs, and shows what the README shows."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROOT, Ended, blocks, plain

Run = Callable[..., Ended]
README = ROOT / "README.md"
FLOW, OUTPUT, *_ = blocks(README)


def test_the_flow_is_ten_lines_and_is_the_example() -> None:
    lines = [line for line in FLOW.text.splitlines() if line.strip()]
    example = (ROOT / "examples" / "hello.py").read_text(encoding="utf-8")

    assert FLOW.info == "python"
    assert len(lines) == 10
    assert example.endswith(FLOW.text)
    assert FLOW.line < 10  # it is what the page opens with


def test_its_output_is_the_real_one(run: Run, folder: Path) -> None:
    (folder / "hello.py").write_text(FLOW.text, encoding="utf-8")

    ended = run("hello.py")

    assert (ended.code, ended.out) == (0, "")
    # Mapped tasks run beside the flow: which of their lines comes first differs from run to run.
    assert sorted(plain(ended.err)) == sorted(plain(OUTPUT.text))


def test_reading_it_back_shows_what_is_shown(run: Run, folder: Path) -> None:
    (folder / "hello.py").write_text(FLOW.text, encoding="utf-8")
    (shown,) = [block for block in blocks(README) if block.text.startswith("$ penstock flow-run ls")]
    listing, graph = re.split(r"^\$ penstock .*\n", shown.text, flags=re.M)[1:]
    run("hello.py")

    listed = run("-m", "penstock", "flow-run", "ls").out
    name = listed.splitlines()[1].split()[2]
    drawn = run("-m", "penstock", "flow-run", "graph", name).out

    assert plain(listed.replace(name, "NAME")) == plain(listing.replace("worthy-coyote", "NAME"))
    assert plain(drawn) == plain(graph)


def test_a_server_shows_what_is_shown(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "hello.py").write_text(FLOW.text, encoding="utf-8")
    (shown,) = [block for block in blocks(README) if block.text.startswith("$ penstock server start")]
    begun, listing, counted, ended = re.split(r"^(?:\$ .*\n)+", shown.text, flags=re.M)[1:]
    monkeypatch.setenv("PENSTOCK_SERVER_API_PORT", "0")
    run("hello.py")

    said = run("-m", "penstock", "server", "start", "--background").out
    try:
        url = re.findall(r"http://\S+", said)[0]
        monkeypatch.setenv("PENSTOCK_API_URL", f"{url}/api")
        run("hello.py")
        listed = run("-m", "penstock", "flow-run", "ls").out
        asked = urllib.request.Request(
            f"{url}/api/flow_runs/count",
            data=b'{"filter": {"flow_names": ["hello"]}}',
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(asked) as answer:
            count = answer.read().decode()
    finally:
        stopped = run("-m", "penstock", "server", "stop").out

    assert anonymous(said) == anonymous(begun)
    assert [line.split()[1:2] + line.split()[3:5] for line in listed.splitlines()] == [
        line.split()[1:2] + line.split()[3:5] for line in listing.splitlines()
    ]
    assert count == counted.strip()
    assert anonymous(stopped) == anonymous(ended)


def anonymous(text: str) -> str:
    """Without what is of one machine and one start: paths, ports, processes."""
    return re.sub(r"/\S+/(?=penstock\.db|server\.log)|\d+", "", text)


def test_it_says_what_it_is_and_how_to_try_it_first() -> None:
    text = README.read_text(encoding="utf-8")

    assert "the record and the process agree" in text[:500]
    assert text.index("make demo") < text.index("make test") < text.index("\n## ")
