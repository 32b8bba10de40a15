"""What the agent can do. All of it happens in one folder; a name that leads out of that is refused."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FILES = {
    "notes.txt": "Old logs can go.",
    "old.log": "2019-01-01 nothing happened",
    "customers.csv": "name\nAda\nGrace\n",
}


class ToolError(Exception):
    """What the model is told, to do better."""


def place(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if path.parent != folder.resolve() or not path.is_file():
        raise ToolError(f"there is no file {name!r}")
    return path


def list_files(folder: Path) -> str:
    """The names of all files."""
    return ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"


def read_file(folder: Path, name: str) -> str:
    """The text of a file."""
    return place(folder, name).read_text(encoding="utf-8")


def delete_file(folder: Path, name: str) -> str:
    """Deletes a file, for ever."""
    place(folder, name).unlink()
    return f"{name} is deleted"


@dataclass(frozen=True)
class Tool:
    function: Callable[..., str]
    dangerous: bool = False  # a person has to approve each call


TOOLS = {"list_files": Tool(list_files), "read_file": Tool(read_file), "delete_file": Tool(delete_file, dangerous=True)}
DESCRIPTIONS = {name: tool.function.__doc__ for name, tool in TOOLS.items()}


def make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
