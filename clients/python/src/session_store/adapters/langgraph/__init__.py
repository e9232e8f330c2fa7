"""LangGraph's checkpointer and store over the session store, see docs/frameworks.md."""

from session_store.adapters.langgraph.saver import SessionStoreSaver
from session_store.adapters.langgraph.store import SessionStoreStore

__all__ = ["SessionStoreSaver", "SessionStoreStore"]
