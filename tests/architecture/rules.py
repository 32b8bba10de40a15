"""The shape of the house as tables, and one check for each rule. A check returns its violations as lines of text."""

from __future__ import annotations

import ast
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from .source import PACKAGE, Import, functions, is_type_checking, read_imports, read_modules

# --- tables ----------------------------------------------------------------------------------------------------------

ANYTHING = frozenset({"*"})

# Public doors: thin top-level modules that only pass names on.
DOORS = frozenset(
    {
        "__init__",
        "approvals",
        "artifacts",
        "automations",
        "cache_policies",
        "concurrency",
        "context",
        "deployments",
        "events",
        "exceptions",
        "flow_runs",
        "futures",
        "input",
        "logging",
        "results",
        "runtime",
        "schedules",
        "serializers",
        "states",
        "task_runners",
        "tasks",
        "variables",
    }
)

# Which rooms a room may import, itself aside. A room is a folder or a file at the top of the package.
ROOMS: dict[str, frozenset[str]] = {
    "domain": frozenset(),
    "store": frozenset({"domain"}),
    "vault": frozenset({"domain"}),
    "protocol": frozenset({"domain"}),
    "transport": frozenset({"protocol", "domain"}),
    "services": frozenset({"store", "domain", "vault", "protocol"}),
    "ledger": frozenset({"domain", "protocol"}),
    "engine": frozenset({"ledger", "domain", "infrastructure", "vault"}),
    "watchdog": frozenset({"infrastructure", "services", "store", "domain", "engine", "protocol", "transport"}),
    "settings": frozenset({"domain"}),
    "flows": frozenset({"connect", "engine", "ledger", "domain", "settings", "protocol"}),
    "blocks": frozenset({"connect", "engine", "domain", "protocol"}),
    "served": frozenset({"ledger", "transport", "protocol", "engine", "domain", "settings"}),
    "connect": frozenset(
        {
            "served",
            "settings",
            "ledger",
            "services",
            "store",
            "domain",
            "engine",
            "vault",
            "watchdog",
            "protocol",
            "transport",
            "telemetry",
        }
    ),
    "telemetry": frozenset({"engine", "domain"}),
    "infrastructure": frozenset({"domain"}),
    "worker": frozenset({"connect", "infrastructure", "domain", "settings", "protocol", "engine"}),
    "api": frozenset({"services", "protocol", "domain"}),
    "client": frozenset({"connect", "transport", "protocol", "domain", "settings"}),
    "server": frozenset({"settings", "store", "services", "api", "protocol", "domain", "engine", "vault", "blocks"}),
    "moving": frozenset({"settings"}),
    "prefect": ANYTHING,
    "alias": frozenset({"prefect"}),
    "cli": ANYTHING,
    "testing": ANYTHING,
    "__main__": frozenset({"cli"}),
    **dict.fromkeys(DOORS, ANYTHING),
}

# One module (and what is below it) that may import more than its room.
MORE_FOR: dict[str, frozenset[str]] = {
    "penstock.api.follower": frozenset({"store"}),
    "penstock.api.gate": frozenset({"store"}),
    "penstock.api.hub": frozenset({"store"}),
    "penstock.api.journal": frozenset({"store"}),
    "penstock.ledger.attendance": frozenset({"store"}),
    "penstock.ledger.local": frozenset({"services", "store"}),
    "penstock.ledger.remote": frozenset({"store"}),
    "penstock.watchdog.doors": frozenset({"ledger"}),
    "penstock.watchdog.__main__": frozenset({"settings", "served"}),
    "penstock.store.spool": frozenset({"protocol"}),
    "penstock.store.overflow": frozenset({"protocol"}),
    "penstock.flows.cancelling": frozenset({"watchdog"}),
    "penstock.flows.programs": frozenset({"prefect"}),
    "penstock.flows.deploying": frozenset({"worker"}),
}

# Imports of our own modules inside functions: (who, what, why). Both are patterns. The layers hold for them too.
LAZY_OURS: tuple[tuple[str, str, str], ...] = (
    ("penstock.cli*", "penstock*", "a command loads only what it runs: `penstock --help` stays under 0.2 s"),
    ("penstock.connect*", "penstock*", "only the ledger that the settings ask for is loaded"),
    ("penstock.flows.deploying", "penstock.worker*", "only a program that serves is a worker"),
    ("penstock.flows.*", "penstock.engine*", "decorating a function must not load the engine: import budget"),
    ("penstock.flows.*", "penstock.flows.*", "decorating a function must not load what calls it: import budget"),
    ("penstock.flows.programs", "penstock.prefect", "only for a program that runs by Prefect's names"),
    ("penstock.moving.rewriting", "penstock.settings*", "only where a setting is imported"),
    ("penstock.alias", "penstock.prefect", "only for a program that runs by Prefect's names"),
    ("penstock.prefect.*", "penstock*", "the finder is needed where nothing else is: what it finds is loaded then"),
    ("penstock.flows.cancelling", "penstock.watchdog*", "only where a process does not answer"),
    ("penstock.flows.*", "penstock.connect", "decorating a function must not load a store: import budget"),
    ("penstock.store.opening", "penstock.store.postgres", "psycopg is heavy; only for a record in PostgreSQL"),
    ("penstock.watchdog.watch", "penstock.watchdog.deeds", "loaded only when there is something to record"),
    ("penstock.watchdog.doors", "penstock.ledger.remote", "only where there is a server"),
    ("penstock.server.notifications", "penstock.blocks*", "pydantic is heavy; only where an automation notifies"),
    ("penstock.testing*", "penstock*", "helpers load what the test at hand uses"),
    *((f"{PACKAGE}.{door}", "penstock*", "doors are lazy: import budget") for door in sorted(DOORS - {"__init__"})),
    ("penstock", "penstock*", "doors are lazy: import budget"),
)

# Packages that may be imported inside functions. The standard library is free.
LAZY_THIRD_PARTY: dict[str, str] = {
    "apprise": "heavy; only when a notification is sent",
    "azure": "extra",
    "boto3": "extra",
    "botocore": "extra",
    "click": "only for a command line",
    "cloudpickle": "only when a result or a task is pickled",
    "coolname": "reads its word lists at import; only when a run is named",
    "cronsim": "only for cron schedules",
    "cryptography": "heavy; only when something is encrypted or decrypted",
    "dask": "extra",
    "dateutil": "only for rrule schedules",
    "distributed": "extra",
    "docker": "extra",
    "fsspec": "only for remote storage",
    "google": "extra",
    "httpx": "heavy; only when served",
    "jsonschema": "heavy; only when parameters of a deployment are checked",
    "kubernetes": "extra",
    "libcst": "extra",
    "opentelemetry": "extra",
    "psutil": "with distributed",
    "psycopg": "heavy; only for PostgreSQL",
    "pydantic": "heavy; only when a user's types need it",
    "pydantic_core": "heavy; only when a user's types need it",
    "ray": "extra",
    "referencing": "with jsonschema",
    "requests": "with docker",
    "rich": "heavy; only when a terminal is written to",
    "starlette": "only in a server",
    "urllib3": "only where there is a server",
    "uvicorn": "only in a server",
    "yaml": "only when a project's file is read",
}

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
EMPTY_NAMES = frozenset({"utils", "util", "common", "helpers", "helper", "manager", "managers", "base"})


# --- imports ---------------------------------------------------------------------------------------------------------


def check_layers(root: Path) -> list[str]:
    """A room imports only the rooms its row names."""
    modules = read_modules(root)
    found = [
        f"{module.at(1)}: {module.room} is not a room of the house; move it into one, or give it a row in ROOMS"
        for module in modules
        if module.room not in ROOMS
    ]
    for item in read_imports(modules):
        room, target = item.module.room, room_of_target(item)
        if not item.ours or room not in ROOMS or target == room:
            continue
        allowed = ROOMS[room] | _more_for(item.module.name)
        if target not in allowed and allowed != ANYTHING:
            may = ", ".join(sorted(allowed)) or "no other room"
            found.append(
                f"{item.where}: {room} imports {item.target}, but {room} may import only: {may}; "
                "move the shared thing down a layer, or pass it in as an argument"
            )
    return found


def room_of_target(item: Import) -> str:
    parts = item.target.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _more_for(name: str) -> frozenset[str]:
    extra = [rooms for module, rooms in MORE_FOR.items() if name == module or name.startswith(module + ".")]
    return frozenset().union(*extra)


def check_cycles(root: Path) -> list[str]:
    """No module reaches itself by imports, those inside functions counted, those for type checkers not."""
    modules = read_modules(root)
    edges: dict[str, dict[str, Import]] = {module.name: {} for module in modules}
    for item in read_imports(modules):
        if item.target in edges and item.target != item.module.name and not item.for_types:
            edges[item.module.name].setdefault(item.target, item)
    found, told = [], set()
    for name in edges:
        cycle = _shortest_way_back(name, edges)
        if cycle and name not in told:
            told.update(step.module.name for step in cycle)
            ring = " → ".join([*(step.module.name for step in cycle), name])
            steps = "; ".join(f"{step.where} imports {step.target}" for step in cycle)
            found.append(f"{cycle[0].where}: import cycle {ring} ({steps}); move what both need into a third module")
    return found


def _shortest_way_back(start: str, edges: dict[str, dict[str, Import]]) -> list[Import]:
    """The imports that lead from a module back to it, fewest first found; empty if none do."""
    ways: dict[str, list[Import]] = {start: []}
    queue = [start]
    for name in queue:  # grows while we walk it: breadth first
        for target, item in edges[name].items():
            if target == start:
                return [*ways[name], item]
            if target not in ways:
                ways[target] = [*ways[name], item]
                queue.append(target)
    return []


def check_lazy_ours(root: Path) -> list[str]:
    """Our modules are imported at the top of the file, but for the rows of LAZY_OURS."""
    return [
        f"{item.where}: {item.module.name} imports {item.target} inside a function; move it to the top of the file, "
        "or, if start-up must not pay for it, add a row with the reason to LAZY_OURS"
        for item in read_imports(read_modules(root))
        if item.in_function and item.ours and not _is_lazy(item)
    ]


def _is_lazy(item: Import) -> bool:
    return any(fnmatchcase(item.module.name, who) and fnmatchcase(item.target, what) for who, what, _ in LAZY_OURS)


def check_lazy_third_party(root: Path) -> list[str]:
    """Other people's packages are imported inside functions only if LAZY_THIRD_PARTY names them."""
    free = sys.stdlib_module_names | LAZY_THIRD_PARTY.keys() | {PACKAGE}
    return [
        f"{item.where}: imports {item.target} inside a function; move it to the top of the file, or, if it is heavy "
        "and rarely needed, add it with the reason to LAZY_THIRD_PARTY"
        for item in read_imports(read_modules(root))
        if item.in_function and item.target.split(".")[0] not in free
    ]


# --- doors -----------------------------------------------------------------------------------------------------------


def check_doors(root: Path) -> list[str]:
    """A public door holds imports, tables, __getattr__ and __dir__, and nothing that does work."""
    return [
        f"{module.at(node.lineno)}: public door {module.name} holds {what}; put it into a room and only import it here"
        for module in read_modules(root)
        if module.room in DOORS
        for node in module.tree.body
        for what in _work_in(node)
    ]


def _work_in(node: ast.stmt) -> list[str]:
    if is_type_checking(node):
        return [what for child in [*node.body, *node.orelse] for what in _work_in(child)]
    if isinstance(node, ast.ClassDef):
        return [f"class {node.name}"]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        inner = [child for child in ast.walk(node) if child is not node and isinstance(child, ast.ClassDef)]
        if node.name in {"__getattr__", "__dir__"} and not inner:
            return []
        return [f"function {node.name}"]
    if isinstance(
        node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Delete | ast.Pass
    ):
        return []
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
        return []
    return [f"a statement that does work ({type(node).__name__})"]


# --- sizes and names -------------------------------------------------------------------------------------------------

# Made from other files, which are read in its place.
GENERATED = {"client/asynchronous.py"}


def check_file_sizes(root: Path) -> list[str]:
    """Python and SQL files stay short enough to be read in one sitting."""
    found = []
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.sql")]):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if path.relative_to(root).as_posix() in GENERATED:
            continue
        if lines > MAX_FILE_LINES:
            shown = path.relative_to(root.parent.parent)
            found.append(f"{shown}:{MAX_FILE_LINES + 1}: {lines} lines, over {MAX_FILE_LINES}; split it by noun")
    return found


def check_function_sizes(root: Path) -> list[str]:
    """Functions stay short, their docstrings aside."""
    return [
        f"{module.at(node.lineno)}: {node.name} has {lines} lines, over {MAX_FUNCTION_LINES}; "
        "give a part of it a name of its own"
        for module in read_modules(root)
        for node in functions(module.tree)
        if (lines := _lines_of(node)) > MAX_FUNCTION_LINES
    ]


def _lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        lines -= node.body[0].end_lineno - node.body[0].lineno + 1
    return lines


def check_names(root: Path) -> list[str]:
    """File names are nouns of the house, not drawers for everything."""
    found = []
    for path in sorted(root.rglob("*")):
        is_module = path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
        if is_module and path.stem.strip("_") in EMPTY_NAMES:
            shown = path.relative_to(root.parent.parent)
            found.append(f"{shown}:1: the name {path.stem} says nothing; name it for the thing it holds")
    return found
