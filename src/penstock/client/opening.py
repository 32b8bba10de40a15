"""`get_client`: what users make clients with."""

from __future__ import annotations

from typing import Literal, overload

from .asynchronous import PenstockClient
from .blocking import SyncPenstockClient


@overload
def get_client(
    sync_client: Literal[False] = False, *, api_url: str | None = None, api_key: str | None = None
) -> PenstockClient: ...
@overload
def get_client(
    sync_client: Literal[True], *, api_url: str | None = None, api_key: str | None = None
) -> SyncPenstockClient: ...
@overload
def get_client(
    sync_client: bool, *, api_url: str | None = None, api_key: str | None = None
) -> PenstockClient | SyncPenstockClient: ...
def get_client(
    sync_client: bool = False, *, api_url: str | None = None, api_key: str | None = None
) -> PenstockClient | SyncPenstockClient:
    """A client whose methods are awaited; with `sync_client=True` one whose methods are called.

    It asks the server at `api_url` with `api_key`; without an `api_url`, whatever the settings say: the server of
    PENSTOCK_API_URL, or, where there is none, the record of this machine. Use it as a context manager.

    Raises `ConfigurationError` for a URL that cannot be one.

    Example::

        async with get_client() as client:
            for run in await client.read_flow_runs(RunFilter(state_types=(StateType.FAILED,)), limit=10):
                print(run.name, run.state)

        with get_client(sync_client=True) as client:
            client.cancel_flow_run("0197a3c2-6f1e-7b44-9c1d-2a5e8f3b7d10")
    """
    client = SyncPenstockClient(api_url=api_url, api_key=api_key)
    return client if sync_client else PenstockClient(client)
