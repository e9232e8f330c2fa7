"""The same agent, whose messages are a delta channel: they are rebuilt from the writes of earlier
steps. So what a turn reads depends on the turns before, of which there are EARLIER."""

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


EARLIER = 5


class State(TypedDict):
    messages: Annotated[list[AnyMessage], DeltaChannel(appended)]


async def setup(base_url: str, token: str) -> Any:
    from session_store.adapters.langgraph import SessionStoreSaver

    state = graph(SessionStoreSaver(AsyncClient(base_url, token)), State)
    for _ in range(EARLIER):
        await turn(state)
    return state
