"""The same agent, whose messages are a delta channel: a checkpoint has only what is new."""

from collections.abc import Sequence
from typing import Annotated, Any

from langchain_core.messages import AnyMessage
from langgraph.channels import DeltaChannel
from session_store import AsyncClient
from typing_extensions import TypedDict

from bench.turns.langgraph import graph, turn

__all__ = ["setup", "turn"]


def appended(messages: Any, new: Sequence[Any]) -> Any:
    return [*messages, *(message for each in new for message in each)]


class State(TypedDict):
    messages: Annotated[list[AnyMessage], DeltaChannel(appended)]


async def setup(base_url: str, token: str) -> Any:
    from session_store.adapters.langgraph import SessionStoreSaver

    return graph(SessionStoreSaver(AsyncClient(base_url, token)), State)
