"""Google ADK: sessions and artifacts in the session store.

The token needs the scopes `sessions:read`, `sessions:write`, `sessions:act-for-user`,
`tenant-values:read` and `tenant-values:write`.
"""

from session_store.adapters.adk.artifacts import SessionStoreArtifactService
from session_store.adapters.adk.sessions import SessionStoreSessionService

__all__ = ["SessionStoreArtifactService", "SessionStoreSessionService"]
