"""What a workload is run with: nothing, Penstock in its three ways, and the peers, each with its own interpreter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from .server_place import NAMES, POSTGRES, SQLITE, Databases, Server
from .workloads import Workload

HERE = Path(__file__).parent
# What their settings begin with: a user's own would change what is measured.
PREFIXES = ("PENSTOCK_", "PREFECT_", "DBOS_", "DASK_", "DISTRIBUTED_", "RAY_")


@dataclass
class Record:
    """Where one sample's rows will be. `server` is the server that takes them, if there is one."""

    database: str  # a file's path, or the address of a PostgreSQL database
    settings: dict[str, str] = field(default_factory=dict)
    server: Server | None = None


@dataclass(frozen=True)
class Product:
    """`queries` count the rows of a kind, and those that are complete and final. `record` opens a fresh one in a home,
    for one sample; without it the record is the file `database` in the home.
    """

    name: str
    package: str
    python: str = sys.executable
    home: str = ""
    database: str = ""
    queries: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    # How long the record may lag behind the program that made it.
    patience: float = 0.0
    keeps_python_path: bool = True
    record: Callable[[Path], AbstractContextManager[Record]] | None = None
    # Its own programs, below `scripts`; without, the package's name is swapped in ours.
    folder: str = ""
    # Workloads for which it has no program, and why.
    lacks: dict[str, str] = field(default_factory=dict)

    def program(self, workload: Workload) -> Path:
        return HERE / "scripts" / self.folder / workload.script

    def opened(self, home: Path) -> AbstractContextManager[Record]:
        if self.record is not None:
            return self.record(home)
        return nullcontext(Record(str(home / self.database) if self.database else ""))


BARE = Product("bare Python", "bare")

_FINAL = "state_type = 'COMPLETED' AND started IS NOT NULL AND ended IS NOT NULL"
PENSTOCK = Product(
    "Penstock",
    "penstock",
    home="PENSTOCK_HOME",
    database="penstock.db",
    queries={
        "flow runs": f"SELECT count(*), count(*) FILTER (WHERE {_FINAL} AND lines_lost = 0) FROM flow_run",
        "subflow runs": f"""SELECT count(*), count(*) FILTER
            (WHERE {_FINAL} AND flow_run_id IN (SELECT id FROM flow_run))
            FROM flow_run WHERE flow_run_id IS NOT NULL""",
        "task runs": f"""SELECT count(*), count(*) FILTER
            (WHERE {_FINAL} AND flow_run_id IN (SELECT id FROM flow_run)) FROM task_run""",
        "lines": "SELECT count(*), count(DISTINCT message) FROM log WHERE message LIKE 'line %'",
        "greetings": "SELECT count(*), count(DISTINCT message) FROM log WHERE message LIKE 'Hello%'",
    },
)

_PREFECT_FINAL = "state_type = 'COMPLETED' AND end_time IS NOT NULL"
PREFECT = Product(
    "Prefect",
    "prefect",
    home="PREFECT_HOME",
    database="prefect.db",
    queries={
        "flow runs": f"SELECT count(*), sum({_PREFECT_FINAL}) FROM flow_run",
        "subflow runs": f"""SELECT count(*), sum({_PREFECT_FINAL})
            FROM flow_run WHERE parent_task_run_id IS NOT NULL""",
        # A subflow has a task run there that stands for it.
        "task runs": f"""SELECT count(*), sum({_PREFECT_FINAL}) FROM task_run WHERE id NOT IN
            (SELECT parent_task_run_id FROM flow_run WHERE parent_task_run_id IS NOT NULL)""",
        "lines": PENSTOCK.queries["lines"],
        "greetings": PENSTOCK.queries["greetings"],
    },
    settings={
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    },
    patience=180.0,
    keeps_python_path=False,
)

_NO_LOG = "it keeps no log"
_NO_STREAM = "it maps lists, not streams"
_DBOS_FINAL = "status = 'SUCCESS' AND completed_at IS NOT NULL"
DBOS = Product(
    "DBOS",
    "dbos",
    # A task is a step, or a workflow of the same name that another workflow started.
    queries={
        "flow runs": f"""SELECT count(*), count(*) FILTER (WHERE {_DBOS_FINAL})
            FROM workflow_status WHERE name <> 'work'""",
        "subflow runs": f"""SELECT count(*), count(*) FILTER
            (WHERE {_DBOS_FINAL} AND parent_workflow_id IN (SELECT workflow_uuid FROM workflow_status))
            FROM workflow_status WHERE name = 'part'""",
        "task runs": f"""SELECT count(*), count(*) FILTER (WHERE final) FROM (
            SELECT {_DBOS_FINAL} AS final FROM workflow_status WHERE name = 'work' UNION ALL
            SELECT error IS NULL AND completed_at_epoch_ms IS NOT NULL FROM operation_outputs
            WHERE function_name = 'work' AND child_workflow_id IS NULL) AS work""",
    },
    keeps_python_path=False,
    folder="dbos",
    lacks={"streamed": _NO_STREAM, "prints": _NO_LOG, "masked": _NO_LOG},
)

_NO_RUNS = "it has no flows"
_CLUSTER = {"flow-runs": _NO_RUNS, "subflow-runs": _NO_RUNS, "prints": _NO_LOG, "masked": _NO_LOG}
DASK = Product(
    "Dask", "distributed", keeps_python_path=False, folder="dask", lacks={**_CLUSTER, "streamed": _NO_STREAM}
)
RAY = Product(
    "Ray",
    "ray",
    settings={"RAY_USAGE_STATS_ENABLED": "0"},
    keeps_python_path=False,
    folder="ray",
    lacks={**_CLUSTER, "streamed": _NO_STREAM, "async": "its tasks are no coroutines"},
)


def at(product: Product, python: str) -> Product:
    """The product as that interpreter has it."""
    return replace(product, python=python)


def served(databases: Databases, kind: str) -> Product:
    """Penstock with a server that was started for the sample, on a fresh database."""

    @contextmanager
    def record(home: Path) -> Iterator[Record]:
        with databases.fresh(kind) as place:
            server = Server(place)
            try:
                settings = {"PENSTOCK_API_URL": server.url}
                yield Record(place.url or str(place.home / "penstock.db"), settings, server)
            finally:
                server.stop()
            if said := server.complaints():
                raise RuntimeError("; ".join(said))

    return replace(
        PENSTOCK, name=f"served, {NAMES[kind]}", database="", record=record, lacks={"import": "the same as embedded"}
    )


def dbos_on(databases: Databases, kind: str, python: str) -> Product:
    """DBOS with a fresh database for each sample: a SQLite file in the home, or one at PostgreSQL."""

    @contextmanager
    def record(home: Path) -> Iterator[Record]:
        if kind == SQLITE:
            database = str(home / "dbos.db")
            yield Record(database, {"DBOS_SYSTEM_DATABASE_URL": f"sqlite:///{database}"})
            return
        with databases.fresh(POSTGRES) as place:
            assert place.url is not None
            yield Record(place.url, {"DBOS_SYSTEM_DATABASE_URL": place.url})

    return replace(DBOS, name=f"DBOS, {NAMES[kind]}", python=python, record=record)
