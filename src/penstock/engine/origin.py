"""Where a flow run came from: how its program was started, and what its flow was called with. So that it can be called
again, by another process.

Law: this is on the way of every flow run and costs microseconds; and nothing here runs code of the user's, but for
what pickling an argument takes.
"""

from __future__ import annotations

import os
import pickle
import sys
import zlib
from functools import cache
from typing import Any

from ..domain.runs import Arguments, Entrypoint
from ..vault import Vault
from . import sealing
from .definitions import FlowDefinition
from .inputs import LEAVES
from .masking import MASKER
from .results import TooLarge, pickled_within


def entrypoint(flow: FlowDefinition) -> Entrypoint:
    """How this program was started. Names and paths only: what is in the environment stays there."""
    code = getattr(flow.fn, "__code__", None)
    try:
        directory: str | None = os.getcwd()
    except OSError:
        directory = None
    path = None if code is None else code.co_filename
    program, name = _program()
    return Entrypoint(
        path=path,
        function=None if code is None else getattr(flow.fn, "__qualname__", None),
        argv=tuple(sys.argv),
        directory=directory,
        python=sys.executable,
        module=getattr(flow.fn, "__module__", None),
        program=program,
        program_module=name,
        digest=None if path is None else digest(path),
        prefect=os.environ.get("PENSTOCK_PREFECT_ALIAS"),
    )


def _program() -> tuple[str | None, str | None]:
    """The file that was started, and the module's name where it was started as one (`python -m`)."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None)
    if not isinstance(file, str) or file.startswith("<"):
        return None, None
    # (A folder or an archive that was started calls its module `__main__`.)
    name = None if spec is None or spec.name == "__main__" else spec.name
    return os.path.abspath(file), name


@cache
def digest(path: str) -> str | None:
    """What is in a file, shortly: enough to see that it was changed. None where there is no such file."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (OSError, ValueError):
        return None
    return f"{len(data):x}-{zlib.crc32(data):08x}"


# What arguments begin with that were encrypted, because there is a secret in them. (No pickle begins so.)
_SEALED = f"{sealing.PREFIX}pickle:".encode()


def keep_arguments(flow: FlowDefinition, parameters: dict[str, Any], limit: int, vault: Vault) -> Arguments | None:
    """What the flow was called with, pickled by name, and encrypted where that holds a secret; None when it is nothing
    but defaults."""
    given = parameters
    defaults = _defaults(flow.fn)
    if defaults:
        # A default may be an object that is known by being the very one; and the one of today's code is what is meant.
        given = {name: value for name, value in parameters.items() if value is not defaults.get(name, _NOTHING)}
    if not given:
        return None
    try:
        data = _pickled(given, limit)
    except Exception:  # whatever pickling raises: said with the name of the argument, when it is asked for
        name, problem = _problem(given, limit)
        return Arguments(None, name, problem)
    if not sealing.is_secret(data):
        return Arguments(data)
    try:
        return Arguments(_SEALED + sealing.seal("pickle", data, vault)[1])
    except Exception as error:
        names = [name for name, value in given.items() if sealing.is_secret(_pickled({name: value}, limit))]
        return Arguments(None, ", ".join(names)[:300], f"a secret that cannot be encrypted: {error}"[:300])


def opened(arguments: Arguments, vault: Vault) -> bytes:
    """The pickled arguments; secrets among them are masked from now on. Raises `DecryptionError`."""
    data = arguments.data or b""
    if not data.startswith(_SEALED):
        return data
    return sealing.unseal(
        f"{sealing.PREFIX}pickle", data.removeprefix(_SEALED), vault, "What the flow was called with"
    )[1]


def _pickled(given: dict[str, Any], limit: int) -> bytes:
    """Raises `TooLarge`, and what pickling raises."""
    plain = True
    for value in given.values():
        kind = type(value)
        # An item takes a byte at least: what has more of them need not be looked into.
        if kind in _SIZED and len(value) > limit:
            raise TooLarge
        plain = plain and kind in LEAVES
    if not plain:
        return pickled_within(limit, given)
    data = pickle.dumps(given, 5)  # a tenth of the cost
    if len(data) > limit:
        raise TooLarge
    return data


def _problem(given: dict[str, Any], limit: int) -> tuple[str, str]:
    """Which of the arguments could not be kept, and why, in a few words."""
    for name, value in given.items():
        kind = type(value)
        shown = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        try:
            _pickled({name: value}, limit)
        except TooLarge:
            return name, f"a {shown} of more than {limit:,} bytes, which is what PENSTOCK_RESULTS_INLINE_LIMIT allows"
        except Exception as error:
            return name, MASKER.head(f"a {shown} that cannot be pickled: {type(error).__name__}: {error}", 300)
    return ", ".join(given)[:300], f"together they take more than {limit:,} bytes"


_NOTHING = object()
_SIZED = frozenset({str, bytes, bytearray, list, tuple, dict, set, frozenset})


def _defaults(fn: Any) -> dict[str, Any]:
    """A function's defaults by parameter."""
    code = getattr(fn, "__code__", None)
    if code is None:
        return {}
    values, named = fn.__defaults__ or (), fn.__kwdefaults__
    names = code.co_varnames[code.co_argcount - len(values) : code.co_argcount]
    found = dict(zip(names, values, strict=True))
    return found if named is None else found | named
