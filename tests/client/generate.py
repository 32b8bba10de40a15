"""Writes the client that is awaited from the one that is called: `python tests/client/generate.py`.

Every public method of `SyncPenstockClient`, also of its bases, becomes one that is awaited, and does the same in
another thread; one that gives an iterator becomes an asynchronous one.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).resolve().parents[2] / "src" / "penstock" / "client"
SOURCES = (CLIENT / "blocking.py", CLIENT / "things.py", CLIENT / "deployments.py")
TARGET = CLIENT / "asynchronous.py"

HEAD = '''"""The client whose methods are awaited. Made by tests/client/generate.py from `blocking.py`,
`things.py` and `deployments.py`: change those."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextvars import copy_context
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, NoReturn, TypeVar

from msgspec import UNSET

{imports}
from .asking import GIVEN_UP, Id
from .blocking import ALL_LINES, EVERYTHING, SyncPenstockClient
from .things import ALL_ARTIFACTS, ALL_EVENTS

T = TypeVar("T")

# What an iterator gives is fetched so many at a time: it comes in pages anyway.
PIECE = 100


class PenstockClient:
    """What `get_client()` gives: `SyncPenstockClient`, to be awaited. What it does, it does in other threads, so the
    event loop goes on meanwhile."""

    def __init__(self, client: SyncPenstockClient) -> None:
        self._client = client

    def __enter__(self) -> NoReturn:
        raise RuntimeError("This client is awaited: `async with get_client()`, or get_client(sync_client=True).")

    def __exit__(self, *_: object) -> None: ...

    async def __aenter__(self) -> PenstockClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._call(self._client.close)

    async def _call(self, work: Callable[[], T]) -> T:
        """In another thread, with the caller's context. Who is not waited for any more waits no longer."""
        given_up = threading.Event()
        context = copy_context()
        context.run(GIVEN_UP.set, given_up)
        try:
            return await asyncio.get_running_loop().run_in_executor(None, context.run, work)
        finally:
            given_up.set()

    async def _each(self, iterator: Iterator[T], piece: int = PIECE) -> AsyncIterator[T]:
        while found := await self._call(lambda: list(islice(iterator, piece))):
            for each in found:
                yield each
'''
# A line that comes is given at once, and not with those that follow.
ONE_BY_ONE = {"follow_logs"}


def generated() -> str:
    """The text that `TARGET` should have."""
    trees = [ast.parse(source.read_text()) for source in SOURCES]
    methods = [
        node
        for tree in trees
        for client in tree.body
        if isinstance(client, ast.ClassDef)
        for node in client.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    imports = "\n".join(dict.fromkeys(line for tree in trees for line in _imports(tree)))
    return _tidied(HEAD.format(imports=imports) + "".join(map(_method, methods)))


def _imports(tree: ast.Module) -> list[str]:
    ours = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.level == 2 and node.module]
    return [ast.unparse(node) for node in ours]


def _method(node: ast.FunctionDef) -> str:
    gives = ast.unparse(node.returns) if node.returns is not None else "None"
    taken = ast.unparse(node.args)
    passed = ", ".join(
        [*(each.arg for each in node.args.args[1:]), *(f"{each.arg}={each.arg}" for each in node.args.kwonlyargs)]
    )
    text = (ast.get_docstring(node) or "").replace("\n", "\n        ")
    said = f'    """{text}"""'
    if gives.startswith("Iterator["):
        piece = ", 1" if node.name in ONE_BY_ONE else ""
        return (
            f"\n    def {node.name}({taken}) -> Async{gives}:\n    {said}\n"
            f"        return self._each(self._client.{node.name}({passed}){piece})\n"
        )
    call = f"partial(self._client.{node.name}, {passed})" if passed else f"self._client.{node.name}"
    keyword = "" if gives == "None" else "return "
    return f"\n    async def {node.name}({taken}) -> {gives}:\n    {said}\n        {keyword}await self._call({call})\n"


def _tidied(text: str) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    name = ["--stdin-filename", str(TARGET)]
    fixed = subprocess.run(
        [*ruff, "check", "--fix", "--quiet", *name, "-"], input=text, capture_output=True, text=True, check=False
    )
    done = subprocess.run([*ruff, "format", *name, "-"], input=fixed.stdout, capture_output=True, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    TARGET.write_text(generated())
