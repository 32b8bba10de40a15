"""The handlers of all operations; importing this loads them. One file a noun; no decision is made here: a handler
hands an operation's fields to a use-case of the services, and its value back."""

from . import (
    accounts,
    admin,
    artifacts,
    backfills,
    block_documents,
    concurrency_limits,
    deployments,
    events,
    flow_runs,
    flows,
    graphs,
    launches,
    logs,
    pause_links,
    run_inputs,
    task_runs,
    variables,
    work_pools,
)

__all__ = [
    "accounts",
    "admin",
    "artifacts",
    "backfills",
    "block_documents",
    "concurrency_limits",
    "deployments",
    "events",
    "flow_runs",
    "flows",
    "graphs",
    "launches",
    "logs",
    "pause_links",
    "run_inputs",
    "task_runs",
    "variables",
    "work_pools",
]
