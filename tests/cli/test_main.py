"""The root command: quick to start, and every ending is the right one."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from penstock.cli.main import COMMANDS, Root
from penstock.domain.errors import ObjectNotFound

ENTRY = "from penstock.cli.main import main; main()"


def raising(error: BaseException) -> Root:
    """A root with one command, which fails."""

    def fail() -> None:
        raise error

    return Root(name="penstock", table={}, commands={"fail": click.Command("fail", callback=fail)})


def python(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, env={**os.environ, **variables}
    )


# --- starting --------------------------------------------------------------------------------------------------------


def test_help_names_every_command_without_importing_any() -> None:
    done = python(
        "import sys\nfrom penstock.cli.main import main\n"
        "try: main()\nfinally: print(*sys.modules, sep='\\n', file=sys.stderr)",
        "--help",
    )
    assert done.returncode == 0
    words = " ".join(done.stdout.split())
    assert all(f"  {name} " in done.stdout and text in words for name, (_, text) in COMMANDS.items())
    loaded = set(done.stderr.split())
    ours = {name for name in loaded if name.startswith("penstock.") and not name.startswith("penstock.domain")}
    assert ours == {"penstock.alias", "penstock.cli", "penstock.cli.main"}
    assert loaded.isdisjoint({"rich", "msgspec", "pydantic", "apsw", "asyncio", "importlib.metadata"})


def test_version_imports_nothing_heavy() -> None:
    done = python(
        "import sys\nfrom penstock.cli.main import main\n"
        "try: main()\nfinally: print(*sys.modules, sep='\\n', file=sys.stderr)",
        "version",
    )
    assert done.returncode == 0
    assert set(done.stderr.split()).isdisjoint({"rich", "pydantic", "asyncio", "penstock.engine", "penstock.store"})


def test_help_costs_little(tmp_path: Path) -> None:
    compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    taken = []
    for _ in range(6):  # the first one compiles
        begun = processor_time_of_children()
        python(ENTRY, "--help", **compiled)
        taken.append(processor_time_of_children() - begun)
    assert min(taken) < 0.4, taken  # 0.12 on a machine that does nothing else; what it loads is tested above


def processor_time_of_children() -> float:
    """What others do on the machine at the same time does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_without_a_command_the_help_is_shown(run: Callable[..., Result]) -> None:
    result = run()
    assert result.exit_code == 0
    assert result.stdout == run("-h").stdout


def test_a_plural_is_the_same_command(run: Callable[..., Result]) -> None:
    assert run("profiles", "ls").stdout == run("profile", "ls").stdout == "* default\n"
    assert "Usage: penstock profile [" in run("profiles", "--help").stdout


def test_a_mistyped_command_is_wrong_usage_with_a_hint(run: Callable[..., Result]) -> None:
    result = run("confg")
    assert result.exit_code == 2
    assert "No such command 'confg'. Did you mean 'config'?" in result.stderr


def test_the_profile_option_holds_for_one_command(run: Callable[..., Result]) -> None:
    run("profile", "create", "other")
    run("-p", "other", "config", "set", "PENSTOCK_LOGGING_LEVEL=ERROR")
    assert "PENSTOCK_LOGGING_LEVEL='ERROR' (from profile 'other')" in run("--profile", "other", "config", "view").stdout
    assert "PENSTOCK_LOGGING_LEVEL" not in run("config", "view").stdout
    assert "PENSTOCK_PROFILE" not in os.environ
    assert run("-p", "ghost", "config", "view").exit_code == 1


# --- ending ----------------------------------------------------------------------------------------------------------


def test_our_errors_are_one_sentence() -> None:
    result = CliRunner().invoke(raising(ObjectNotFound("Flow run 'x' not found.")), ["fail"])
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Error: Flow run 'x' not found.\n")


def test_unexpected_errors_are_one_line_and_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(raising(ZeroDivisionError("two\nlines")), ["fail"])
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: ZeroDivisionError: two lines (Set PENSTOCK_INTERNAL_DEBUG=1 to see the traceback.)\n"
    )
    monkeypatch.setenv("PENSTOCK_INTERNAL_DEBUG", "1")
    shown = CliRunner().invoke(raising(ZeroDivisionError("two\nlines")), ["fail"])
    assert shown.exit_code == 1
    assert "Traceback (most recent call last)" in shown.stderr
    assert "in fail" in shown.stderr


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_and_a_no_end_differently(error: BaseException) -> None:
    result = CliRunner().invoke(raising(error), ["fail"])
    quiet = isinstance(error, KeyboardInterrupt)
    assert result.exit_code == (130 if quiet else 1)
    assert result.stderr.strip() == ("" if quiet else "Aborted.")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send there")
def test_a_real_ctrl_c_exits_130_without_a_traceback() -> None:
    script = (
        "import click, sys\nfrom penstock.cli.main import Root\n"
        "def wait(): print('ready', flush=True); sys.stdin.read()\n"
        "Root(name='p', table={}, commands={'wait': click.Command('wait', callback=wait)}).main(['wait'])"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read().strip() == ""


PRINTS = (
    "import click\nfrom penstock.cli.main import Root\n"
    "Root(name='p', table={}, commands={'say': click.Command('say', callback=lambda: print('x'))}).main(['say'])"
)


@pytest.mark.parametrize("script", [[ENTRY, "config", "view", "--show-defaults"], [PRINTS]], ids=["echo", "print"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_left_is_no_news(script: list[str], unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", *script],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_narrow_encoding_escapes_instead_of_failing() -> None:
    done = python(ENTRY, "config", "view", PYTHONIOENCODING="latin-1", PENSTOCK_API_URL="http://h/api")
    assert done.returncode == 0
    assert "\\U0001f680 you are connected to:\nhttp://h\n" in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
@pytest.mark.parametrize("script", [[ENTRY, "config", "view", "--show-defaults"], [PRINTS]], ids=["echo", "print"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_one_sentence(script: list[str], unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", *script],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 1
    assert done.stderr == "Error: The output could not be written: No space left on device.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix")
@pytest.mark.parametrize(
    ("closed", "arguments", "code", "said"),
    [
        (">&-", "flow-run ls", 1, "Error: Standard output is closed; to see nothing, send it to /dev/null.\n"),
        (">&- 2>&-", "flow-run ls", 1, ""),
        ("2>&-", "flow-run inspect nobody", 1, ""),
        ("2>&-", "flow-run nothing", 2, ""),
        ("<&-", "profile delete ghost", 1, "Error: Profile 'ghost' not found.\n"),
    ],
)
def test_closed_streams_are_no_internal_errors(closed: str, arguments: str, code: int, said: str) -> None:
    command = f'"$0" -m penstock {arguments} {closed}'
    done = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


# --- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["flow-run", "ls", "--name", "a\udcff"],
        ["flow-run", "inspect", "a\udcff"],
        ["flow-run", "a\udcff"],
        ["--profile", "a\udcff", "version"],
    ],
)
def test_an_argument_that_is_not_utf8_is_wrong_usage(run: Callable[..., Result], arguments: list[str]) -> None:
    result = run(*arguments)
    place = arguments.index("a\udcff") + 1
    assert (result.exit_code, result.stderr) == (2, f"Error: Argument {place} ('a\\xff') is not UTF-8 text.\n")


def test_utf8_is_understood_whatever_the_locale(run: Callable[..., Result]) -> None:
    escaped = "é".encode().decode("ascii", "surrogateescape")
    assert run("flow-run", "inspect", escaped).stderr == "Error: Flow run 'é' not found!\n"


def test_the_profile_option_is_named_where_it_chose(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "'zz' (chosen by the option --profile) not found" in run("--profile", "zz", "config", "view").stderr
    monkeypatch.setenv("PENSTOCK_PROFILE", "zz")
    assert "'zz' (chosen by PENSTOCK_PROFILE from environment) not found" in run("config", "view").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["flow-run", "ls", "--limit", "9223372036854775808"],
        ["task-run", "ls", "--limit", "1000001"],
        ["flow", "ls", "--limit", "99999999999999999999"],
        ["flow-run", "logs", "x", "--tail", "99999999999999999999"],
        ["flow-run", "logs", "x", "--head", "99999999999999999999"],
        ["task-run", "logs", "x", "--num-logs", "99999999999999999999"],
    ],
)
def test_a_number_beyond_reason_is_wrong_usage(run: Callable[..., Result], arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "is not in the range 1<=x<=1000000" in result.stderr
