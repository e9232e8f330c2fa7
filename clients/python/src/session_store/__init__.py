"""A client of the session store, for programs with and without asyncio."""

from session_store._async.client import AsyncClient
from session_store._async.values import AsyncValues
from session_store._sync.client import Client
from session_store._sync.values import Values
from session_store.errors import (
    ApiError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    GoneSince,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    SessionStoreError,
    TokenRefused,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from session_store.ids import session_id_of, source_hash_of
from session_store.tokens import ClientCredentials
from session_store.version import __version__

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncValues",
    "Client",
    "ClientCredentials",
    "Conflict",
    "ConnectionFailed",
    "Forbidden",
    "GoneSince",
    "InvalidRequest",
    "NotFound",
    "PreconditionFailed",
    "SessionStoreError",
    "TokenRefused",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "Values",
    "__version__",
    "session_id_of",
    "source_hash_of",
]
