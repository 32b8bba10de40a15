"""What is published works: the wheel and the source distribution, installed where nothing else is."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from penstock import __version__

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
HELLO = """
import time
from penstock import flow, task
from penstock.task_runners import ProcessPoolTaskRunner

@task
def double(x):
    return 2 * x

@task(timeout_seconds=0.3)
def slow():
    time.sleep(30)

@flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
def hello():
    print(double.map([1, 2]).result(), slow(return_state=True).name)

if __name__ == "__main__":
    hello()
"""


def run(*command: str | Path, **environment: str) -> str:
    """What a command writes; it must succeed."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)], env={**clean, **environment}, capture_output=True, text=True, timeout=300, cwd="/"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that is made of it."""
    folder = tmp_path_factory.mktemp("dist")
    tools = folder / "tools"
    venv.create(tools, with_pip=True)
    run(tools / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "build")
    run(tools / "bin" / "python", "-m", "build", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel and what it needs."""
    return install(wheel, sys.executable, tmp_path_factory.mktemp("env"))


def install(wheel: Path, python: str, folder: Path) -> Path:
    run(python, "-m", "venv", folder)
    run(folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    return folder / "bin"


def test_the_wheel_has_all_that_the_package_needs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    ours = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "penstock").rglob("*")
        if path.is_file() and path.suffix in (".py", ".sql") and "static" not in path.parts
    }
    assert ours <= names
    assert {"penstock/py.typed", "penstock/api/static/index.html"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith(("tests/", "ui/"))]


def test_the_source_distribution_has_its_tests_and_no_rubbish(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = ["/".join(name.split("/")[1:]) for name in archive.getnames()]

    assert {"pyproject.toml", "hatch_build.py", "LICENSE", "tests/conftest.py"} <= set(names)
    assert not [name for name in names if ".venv" in name or "node_modules" in name or "__pycache__" in name]


def test_it_runs_where_nothing_else_is_installed(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(HELLO)
    home = {"PENSTOCK_HOME": str(tmp_path / "home")}

    assert run(installed / "python", tmp_path / "hello.py", **home) == "[2, 4] TimedOut\n"
    assert "hello" in run(installed / "penstock", "flow-run", "ls", **home)
    assert __version__ in run(installed / "penstock", "version", **home)
    assert run(installed / "python", "-m", "penstock", "--help", **home)
    packages = run(installed / "pip", "list", "--format", "freeze")
    assert "pytest" not in packages


def test_its_types_are_seen_by_type_checkers(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(
        "from penstock import task\n\n@task\ndef add(a: int) -> str: return ''\n\nreveal_type(add(1))\nadd('x')\n"
    )
    checker = [sys.executable, "-m", "mypy", "--python-executable", str(installed / "python"), "typed.py"]

    done = subprocess.run(checker, cwd=tmp_path, capture_output=True, text=True, timeout=200)

    assert 'Revealed type is "builtins.str"' in done.stdout or 'Revealed type is "str"' in done.stdout
    assert "typed.py:7: error: " in done.stdout
    assert "py.typed" not in done.stdout


def test_pipx_runs_it(wheel: Path, tmp_path: Path) -> None:
    home = {"PIPX_HOME": str(tmp_path / "pipx"), "PENSTOCK_HOME": str(tmp_path / "home")}

    said = run(sys.executable, "-m", "pipx", "run", "--spec", wheel, "penstock", "version", **home)

    assert __version__ in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_its_commands(installed: Path, tmp_path: Path, shell: str) -> None:
    home = {"PENSTOCK_HOME": str(tmp_path / "home")}
    assert "_PENSTOCK_COMPLETE" in run(installed / "penstock", "completion", shell, **home)
    words = {"COMP_WORDS": "penstock flow-run c", "COMP_CWORD": "c" if shell == "fish" else "2"}

    said = run(installed / "penstock", _PENSTOCK_COMPLETE=f"{shell}_complete", **words, **home)

    assert "cancel" in said


@functools.cache
def interpreter(version: str) -> str | None:
    """A Python of that version that can make environments, wherever this machine keeps some."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
    check = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for python in filter(None, found):
        done = subprocess.run([python, "-c", check], capture_output=True, text=True, timeout=30)
        if done.stdout.strip() == version:
            return python
    return None


@pytest.mark.parametrize("version", VERSIONS)
def test_it_runs_on_each_python(version: str, wheel: Path, tmp_path: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version}")
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        pytest.skip("the whole suite runs on it")
    bin = install(wheel, python, tmp_path / "env")
    (tmp_path / "hello.py").write_text(HELLO)

    said = run(bin / "python", tmp_path / "hello.py", PENSTOCK_HOME=str(tmp_path / "home"))

    assert said == "[2, 4] TimedOut\n"
