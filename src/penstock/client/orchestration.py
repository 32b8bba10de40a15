"""Where Prefect has `get_client`: the import of a script that moves."""

from .asynchronous import PenstockClient
from .blocking import SyncPenstockClient
from .opening import get_client

__all__ = ["PenstockClient", "SyncPenstockClient", "get_client"]
