"""AWS's saver with a delta channel, after as many turns as `langgraph_delta`."""

from typing import Any

from bench.turns.langgraph_aws import client, prepared, turn
from bench.turns.langgraph_delta import EARLIER, State

__all__ = ["client", "setup", "turn"]


async def setup(base_url: str, token: str) -> Any:
    state = prepared("turns-langgraph-delta", State)
    for _ in range(EARLIER):
        await turn(state)
    return state
