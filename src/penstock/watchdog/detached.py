"""Starting a Python process that stands by itself: in a session of its own, and no child of its program.

Not a child, for a program may wait for all its children, or end them; it would wait for ever, or end its watchdog.
Python's `site` is not loaded there: what it would find is handed over, and it costs more than all the rest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

# The first process ends at once; its child is adopted by the system. `main` of the named module goes on from there.
_BOOT = """# penstock.watchdog
import os, sys
if os.fork():
    os._exit(0)
try:
    os.setsid()
except OSError:
    pass
_, module, count, *rest = sys.argv
sys.path += rest[int(count):]
__import__(module)
sys.modules[module].main(rest[:int(count)])
"""
_FOLDER = str(Path(__file__).resolve().parents[2])


class CannotStart(Exception):
    """This program cannot start a Python process; the message says why."""


def start(module: str, arguments: Sequence[str], pass_fds: Sequence[int] = ()) -> int:
    """Starts `main(arguments)` of a module, in a process of its own; the pid of its first process, which ends at once
    and is to be waited for some time.

    The files of `pass_fds` are open there under the numbers `numbers_for` gives. Raises `CannotStart` or `OSError`.
    """
    program = _interpreter()
    argv = [program, *_flags(), "-c", _BOOT, module, str(len(arguments)), *arguments, *_search_path()]
    # In this order: what is passed may have one of the first numbers, where a program has closed them.
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_DUP2, fd, number) for fd, number in zip(pass_fds, numbers_for(pass_fds), strict=True)
    ]
    actions += [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    try:
        return os.posix_spawn(program, argv, os.environ, file_actions=actions, setsid=True, setsigmask=())
    except NotImplementedError:  # an older system library; the process makes its session itself, a little later
        return os.posix_spawn(program, argv, os.environ, file_actions=actions, setsigmask=())


def numbers_for(pass_fds: Sequence[int]) -> list[int]:
    """Under which numbers passed files are open in the new process: none is that of another passed file."""
    free = (number for number in range(3, 64) if number not in pass_fds)
    return [next(free) for _ in pass_fds]


def wait_for(pid: int) -> bool:
    """Whether the first process of a start is done with; does not wait."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except OSError:  # somebody else waited for it
        return True


def _interpreter() -> str:
    """The program that runs Python. In an application that embeds Python, `sys.executable` is the application."""
    if not hasattr(os, "posix_spawn"):
        raise CannotStart("this system has no posix_spawn")
    program = sys.executable or ""
    if getattr(sys, "frozen", False) or not os.path.basename(program).lower().startswith(("python", "pypy")):
        raise CannotStart(f"{program or 'this program'} is not a Python interpreter")
    return program


def _flags() -> list[str]:
    """No site, no user's site, nothing from the current folder; and nothing from the environment, but where Python is
    told there where its own library is."""
    return ["-S", "-s", "-P", *(() if "PYTHONHOME" in os.environ else ("-E",))]


def _search_path() -> list[str]:
    """Where this program finds modules; its own folder comes last, for what it holds is not meant for us."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    own = os.path.dirname(os.path.abspath(main)) if main else None
    others = [path for path in map(str, sys.path) if os.path.isabs(path)]
    return list(dict.fromkeys([_FOLDER, *sorted(others, key=lambda path: path == own)]))
