"""A code base that moves: its files, what changes in them, and what is left for people."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .rewriting import Finding, rewrite

# What is not the user's own.
LEFT_OUT = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "build", "dist"})
# Files of other kinds that say how code is installed and run.
_ENDINGS = (".yaml", ".yml", ".toml", ".cfg", ".ini", ".sh", ".env", ".txt")
_FILES = ("Dockerfile", "Makefile", "Procfile", "Pipfile")
# Findings in one such file; the rest is counted.
MOST = 5


class Moved(NamedTuple):
    """One file: its text before and after, and what is left in it for a person."""

    path: Path
    before: str
    after: str
    findings: tuple[Finding, ...]

    @property
    def changes(self) -> bool:
        return self.before != self.after

    def diff(self, root: Path) -> str:
        """The change, as `diff -u` shows it."""
        name = os.path.relpath(self.path, root if root.is_dir() else root.parent)
        lines = self.before.splitlines(keepends=True), self.after.splitlines(keepends=True)
        return "".join(difflib.unified_diff(*lines, f"a/{name}", f"b/{name}"))


def moved(root: Path) -> Iterator[Moved]:
    """Each file at, or below, a path that changes or has something for a person."""
    for path in _files(root):
        found = _python(path) if path.suffix == ".py" else _other(path)
        if found is not None and (found.changes or found.findings):
            yield found


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(each for each in folders if each not in LEFT_OUT and not each.startswith("."))
        for name in sorted(files):
            if name.endswith((".py", *_ENDINGS)) or name.startswith(_FILES):
                yield Path(folder, name)


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _python(path: Path) -> Moved | None:
    import libcst

    text = _read(path)
    if text is None or "prefect" not in text.lower():
        return None
    try:
        made = rewrite(text)
    except libcst.ParserSyntaxError as error:
        return Moved(path, text, text, (Finding(error.raw_line, f"It is no Python that can be read: {error.message}"),))
    return Moved(path, text, made.code, made.findings)


def _other(path: Path) -> Moved | None:
    text = _read(path)
    if text is None:
        return None
    found = [number for number, line in enumerate(text.splitlines(), 1) if "prefect" in line.lower()]
    if path.name in ("prefect.yaml", "prefect.yml"):
        what = "penstock.yaml has the same form, without build and push (docs/deployments.md); rename it."
        return Moved(path, text, text, (Finding(1, what),))
    findings = [Finding(number, f"It names Prefect: {text.splitlines()[number - 1].strip():.100}") for number in found]
    if len(findings) > MOST:
        findings[MOST:] = [Finding(found[MOST], f"It names Prefect {len(found) - MOST} more times.")]
    return Moved(path, text, text, tuple(findings)) if findings else None
