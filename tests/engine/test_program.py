"""Which programs may be ended for a run in them: scripts, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from penstock.engine import program

ASK = "from penstock.engine.program import is_script; print(is_script())\n"


def answer(*arguments: str, text: str | None = None) -> str:
    done = subprocess.run([sys.executable, *arguments], input=text, capture_output=True, text=True, timeout=30)
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr


def test_a_file_that_was_started_is_a_script(tmp_path: Path) -> None:
    (tmp_path / "etl.py").write_text(ASK)
    assert answer(str(tmp_path / "etl.py")) == "True"


def test_a_module_that_was_started_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etl.py").write_text(ASK)
    monkeypatch.chdir(tmp_path)
    assert answer("-m", "etl") == "True"


def test_a_prompt_a_command_and_a_pipe_are_none(tmp_path: Path) -> None:
    assert answer("-c", ASK) == "False"
    assert answer("-", text=ASK) == "False"
    (tmp_path / "etl.py").write_text(ASK)
    assert answer("-i", str(tmp_path / "etl.py"), text="") == "False"


def test_an_installed_program_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a server's command, that lies beside the interpreter."""
    main = ModuleType("__main__")
    main.__file__ = str(tmp_path / "bin" / "serve")
    (tmp_path / "bin").mkdir()
    for file in (tmp_path / "bin" / "serve", tmp_path / "etl.py"):
        file.write_text("")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(program.sysconfig, "get_path", lambda name: str(tmp_path / "bin"))
    assert not program._is_a_users_file.__wrapped__()
    main.__file__ = str(tmp_path / "etl.py")
    assert program._is_a_users_file.__wrapped__()


@pytest.mark.parametrize("host", ["uvicorn", "IPython", "django", "pytest"])
def test_a_script_that_is_a_server_or_a_notebook_is_none(host: str, tmp_path: Path) -> None:
    (tmp_path / f"{host}.py").write_text("")
    (tmp_path / "etl.py").write_text(f"import {host}\n{ASK}")
    assert answer(str(tmp_path / "etl.py")) == "False"
