"""A thread of LangGraph is a session. What that is called, and where its checkpoints are."""

import hashlib
import re
from typing import Any

from langchain_core.runnables import RunnableConfig

from session_store import session_id_of
from session_store.adapters.langgraph.names import HASHED
from session_store.adapters.langgraph.values import namespace_prefix
from session_store.models import SessionToCreate

MAX_KEY = 512
"""Characters of the key of a session."""

_NO_KEY = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""What no key contains."""


def key_of(thread: Any) -> str:
    """The key of its session: the thread's id, or a hash of it if that cannot be a key.

    >>> key_of("user 7"), key_of("a\n")[:10]
    ('user 7', '%-2f5d1d7d')
    """
    text = str(thread)
    if 1 <= len(text) <= MAX_KEY and not text.startswith(HASHED) and not _NO_KEY.search(text):
        return text
    return HASHED + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def session_of(thread: Any, domain_id: str) -> SessionToCreate:
    session: SessionToCreate = {"key": key_of(thread), "domain_id": domain_id}
    if session["key"] != str(thread):
        session["metadata"] = {"thread_id": str(thread)}
    return session


def session_id(thread: Any) -> str:
    return session_id_of(key_of(thread))


def values_of(client: Any, thread: Any) -> Any:
    return client.session_values(session_id(thread))


def place_of(config: RunnableConfig) -> tuple[Any, str]:
    """The thread, and the beginning of the names in its namespace."""
    configurable = config["configurable"]
    return configurable["thread_id"], namespace_prefix(configurable.get("checkpoint_ns", ""))


def config_of(thread: Any, namespace: str, id_: str) -> RunnableConfig:
    of = {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": id_}
    return {"configurable": of}
