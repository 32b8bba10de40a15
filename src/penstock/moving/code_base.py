"""A code base that moves: its files, what changes in them, and what is left for people."""

from __future__ import annotations

import ast
import contextlib
import difflib
import errno
import io
import os
import shutil
import tempfile
import tokenize
import warnings
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
    encoding: str = "utf-8"

    @property
    def changes(self) -> bool:
        return self.before != self.after

    def write(self) -> None:
        """Writes it, as a whole or not at all. Raises `OSError`."""
        file, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}-")
        try:
            with os.fdopen(file, "wb") as made:
                made.write(self.after.encode(self.encoding))
            shutil.copymode(self.path, name)
            if not os.access(self.path, os.W_OK):
                raise PermissionError(errno.EACCES, "it is read-only", str(self.path))
            os.replace(name, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

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
            path = Path(folder, name)
            if (name.endswith((".py", *_ENDINGS)) or name.startswith(_FILES)) and not path.is_symlink():
                yield path


def _read(path: Path) -> tuple[str, str] | None:
    """A file's text, and its encoding, which a file of Python says itself; None for what is no text."""
    try:
        data = path.read_bytes()
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0] if path.suffix == ".py" else "utf-8"
        return data.decode(encoding), encoding
    except (OSError, SyntaxError, UnicodeDecodeError, LookupError):
        return None


def _python(path: Path) -> Moved | None:
    import libcst

    read = _read(path)
    if read is None:
        return None
    text, encoding = read
    if "prefect" not in text.lower():
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(text, str(path), "exec", ast.PyCF_ONLY_AST)  # what Python cannot read, ends the process in libcst
        made = rewrite(text)
    except SyntaxError as error:
        return Moved(path, text, text, (Finding(error.lineno or 1, f"It is no Python that can be read: {error.msg}"),))
    except (RecursionError, MemoryError):
        return Moved(path, text, text, (Finding(1, "It is nested too deeply to be read: rewrite it by hand."),))
    except (ValueError, libcst.ParserSyntaxError) as error:
        return Moved(path, text, text, (Finding(1, f"It is no Python that can be read: {error}"),))
    return Moved(path, text, made.code, made.findings, encoding)


def _other(path: Path) -> Moved | None:
    read = _read(path)
    if read is None:
        return None
    text, _ = read
    found = [number for number, line in enumerate(text.splitlines(), 1) if "prefect" in line.lower()]
    if path.name in ("prefect.yaml", "prefect.yml"):
        what = "penstock.yaml has the same form, without build and push (docs/deployments.md); rename it."
        return Moved(path, text, text, (Finding(1, what),))
    findings = [Finding(number, f"It names Prefect: {text.splitlines()[number - 1].strip():.100}") for number in found]
    if len(findings) > MOST:
        findings[MOST:] = [Finding(found[MOST], f"It names Prefect {len(found) - MOST} more times.")]
    return Moved(path, text, text, tuple(findings)) if findings else None
