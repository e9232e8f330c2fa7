"""A thread of LangGraph is a session. What that is called, and where its checkpoints are."""

from typing import Any

from langchain_core.runnables import RunnableConfig

from session_store import session_id_of
from session_store.adapters._langgraph.checkpoints import key_of, namespace_prefix


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
