"""Strands Agents: a session manager, the repository behind it, and storage for snapshots.

    manager = SessionStoreSessionManager("thread-1", client=Client(url, token))
    agent = Agent(session_manager=manager)

A session is one of the store, with the Strands id as key. A message is one of that session, with
the format `strands.message` and the agent's id in its metadata. The state of an agent is the value
`strands/agents/<agent id>`.

Strands numbers messages itself. Here, the store's order is the order: two writers may use the same
number, and both messages are kept.
"""

from session_store.adapters.strands.manager import SessionStoreSessionManager
from session_store.adapters.strands.repository import SessionStoreRepository
from session_store.adapters.strands.storage import SessionStoreStorage

__all__ = ["SessionStoreRepository", "SessionStoreSessionManager", "SessionStoreStorage"]
