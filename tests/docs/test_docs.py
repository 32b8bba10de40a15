"""The pages say what is so: their code runs, their commands exist, their links lead somewhere, and what is made from
the code is up to date."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import pkgutil
import re
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from penstock import domain
from penstock.cli.main import root
from penstock.domain.errors import PenstockError

from .conftest import PAGES, ROOT, Block, Ended, blocks, plain

Run = Callable[..., Ended]
Serving = Callable[[Path], AbstractContextManager[None]]


# What stands behind a block's three backticks -> how its program ends.
RUNNABLE = {"python runnable": 0, "python runnable killed": -signal.SIGKILL}
SERVED = "python served"  # a program that serves deployments, until Ctrl-C
BESIDE = "python beside"  # a program that runs while the served one before it does
NOT_RUN = "python not-run: "
REASONS = {
    "another product's",  # what somebody comes from
    "asks people who sign in",
    "is called by pytest",
    "needs a program that serves the deployment",
    "needs a cluster",
    "serves until it is stopped",  # and is a part of a program only
}
OTHERS = {"text", "text output", "sh", "mermaid", "yaml"}
Program = list[tuple[Block, Block | None]]


def programs(first: set[str], next_: str = "") -> Iterator[Any]:
    """Each block of a `first` kind with those of the `next_` kind behind it, each with the output right behind it."""
    for page in PAGES:
        found: list[Program] = []
        at_hand = False
        for block, following in itertools.pairwise([*blocks(page), None]):
            assert block is not None
            output = following if following is not None and following.info == "text output" else None
            if block.info in first:
                found.append([(block, output)])
                at_hand = True
            elif block.info == next_:
                assert at_hand, f"{block.id}: there is no program that it could run beside"
                found[-1].append((block, output))
            elif block.info.startswith("python"):
                at_hand = False
        yield from (pytest.param(program, id=program[0][0].id) for program in found)


def check_output(program: Program, ended: Ended) -> None:
    """All that is shown was seen, in its order; other lines may stand between."""
    seen = iter(ended.lines())
    shown = [line for _, output in program if output is not None for line in plain(output.text)]
    missing = [line for line in shown if line not in seen]
    assert not missing, ended.err + ended.out


@pytest.mark.parametrize("program", list(programs(set(RUNNABLE))))
def test_code_runs_and_prints_what_is_shown(program: Program, run: Run, folder: Path) -> None:
    ((block, _),) = program
    file = folder / "etl.py"
    file.write_text(block.program, encoding="utf-8")

    ended = run(file)

    assert ended.code == RUNNABLE[block.info], ended.err
    check_output(program, ended)


@pytest.mark.parametrize("program", list(programs({SERVED}, BESIDE)))
def test_programs_that_serve_are_served(program: Program, run: Run, serving: Serving, folder: Path) -> None:
    files = []
    for number, (block, _) in enumerate(program):
        files.append(folder / f"program_{number}.py")
        files[-1].write_text(block.program, encoding="utf-8")

    with serving(files[0]):
        for file, each in zip(files[1:], program[1:], strict=True):
            ended = run(file)
            assert ended.code == 0, ended.err
            check_output([each], ended)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    kinds = {*RUNNABLE, SERVED, BESIDE, *(NOT_RUN + reason for reason in REASONS)}
    for block in blocks(page):
        if block.info.split()[0] == "python" and block.info not in kinds:
            assert is_example(block), f"{block.id}: `{block.info}` is neither run nor says `{NOT_RUN}REASON`"
        elif block.info.split()[0] == "python":
            compile(block.program, block.id, "exec")
        elif block.info == "yaml":
            list(yaml.safe_load_all(block.text))
        else:
            assert block.info in OTHERS, block.id


def is_example(block: Block) -> bool:
    """Whether it is the program of an example: those are run by test_examples.py."""
    return any(file.read_text(encoding="utf-8").endswith(block.text) for file in (ROOT / "examples").glob("*.py"))


# --- commands --------------------------------------------------------------------------------------------------------


def commands() -> list[tuple[str, str]]:
    """(page, line) of every `penstock …` that a reader might type."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        found += [(page.name, " ".join(each.split())) for each in re.findall(r"`(penstock [^`]+)`", prose)]
        for block in blocks(page):
            if block.info in ("sh", "text"):
                lines = [line.removeprefix("$ ") for line in block.text.splitlines()]
                found += [(page.name, each) for line in lines for each in re.findall(r"\bpenstock [a-z-][^&|#]*", line)]
    return sorted(set(found))


def understood(line: str) -> str | None:
    """What is wrong with a command line, None when its commands and options exist."""
    command: click.Command = root
    context = click.Context(root, info_name="penstock", **root.context_settings)
    words = shlex.split(line.replace("…", "").replace("...", "").replace("[OPTIONS]", ""))[1:]
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            option = word.partition("=")[0]
            known = [each for each in command.get_params(context) if option in (*each.opts, *each.secondary_opts)]
            if not known:
                return f"{context.command_path} has no option {option}"
            if isinstance(known[0], click.Option) and not known[0].is_flag and "=" not in word and words:
                words.pop(0)
        elif isinstance(command, click.Group):
            below = command.get_command(context, word)
            if below is None:
                return f"{context.command_path} has no command {word}"
            command = below
            context = click.Context(below, info_name=word, parent=context, **below.context_settings)
        elif not context.allow_interspersed_args:
            break  # what follows is for the program that this command starts
    return None


def test_commands_exist() -> None:
    found = commands()

    assert len(found) > 20
    wrong = [f"{page}: {line}: {why}" for page, line in found if not line.endswith("ID:") and (why := understood(line))]
    assert not wrong


def test_help_of_every_command_can_be_had(penstock_home: Path) -> None:
    paths = {words[: next((i for i, w in enumerate(words) if not re.fullmatch("[a-z][a-z-]*", w)), len(words))]
             for _, line in commands() if (words := tuple(line.split()[1:]))}  # fmt: skip
    paths = {path for path in paths if path and not path[0].startswith("-")}

    for path in sorted({path[:2] for path in paths}):
        ended = CliRunner().invoke(root, [*path, "--help"])
        assert ended.exit_code == 0, (path, ended.output)


# --- links -----------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The names of a page's headings as code forges make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(link)
    assert not broken


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")

    assert not [path.name for path in (ROOT / "docs").glob("*.md") if f"({path.name})" not in index + "(index.md)"]


# --- what is made from the code --------------------------------------------------------------------------------------


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["settings.md", "cli.md", "rest.md", "states.md", "api/runtime.md"])
def test_generated_parts_are_current(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")

    assert generator().page(name, text) == text, "run: python docs/generate.py"


def errors() -> dict[str, str]:
    """code -> class, of every error there is."""
    for module in pkgutil.iter_modules(domain.__path__, "penstock.domain."):
        importlib.import_module(module.name)
    waiting: list[type[PenstockError]] = [PenstockError]
    for each in waiting:
        waiting.extend(each.__subclasses__())
    return {
        each.code: each.__name__ for each in waiting if "code" in vars(each) and each.__module__.startswith("penstock.")
    }


def test_every_error_is_explained_and_no_other() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    explained = dict(re.findall(r"^\| `([a-z-]+)` \| `(\w+)`", page, re.M))

    assert explained == errors()
