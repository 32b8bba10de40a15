"""The client for programs that look into a record and decide about runs: `get_client()`, sync and async.

Law: it asks what `protocol` says can be asked, of a server or, where there is none, of the record in this process; it
knows nothing that the command line does not.
"""

from ..domain.filters import LogFilter, RunFilter
from ..protocol.block_documents import ClearSecret
from .asynchronous import PenstockClient
from .blocking import SyncPenstockClient
from .opening import get_client

__all__ = ["ClearSecret", "LogFilter", "PenstockClient", "RunFilter", "SyncPenstockClient", "get_client"]
