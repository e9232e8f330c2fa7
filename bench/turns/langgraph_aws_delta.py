"""AWS's saver with a delta channel."""

from typing import Any

from bench.turns.langgraph_aws import client, prepared, turn
from bench.turns.langgraph_delta import State

__all__ = ["client", "setup", "turn"]


async def setup(base_url: str, token: str) -> Any:
    return prepared("turns-langgraph-delta", State)
