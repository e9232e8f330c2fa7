"""An agent with a tool: the model asks for it, it is run, the model answers. The agent is restored
at the beginning of the conversation, and lives on."""

from collections.abc import AsyncIterator
from typing import Any

from strands import Agent, tool
from strands.models import Model

from session_store import Client
from session_store.adapters.strands import SessionStoreSessionManager

QUESTION = "Which potholes near Main St are still open, and since when? " * 4
FOUND = "inc_abc123 pothole, Main St 12, open since 3 May. " * 8
ANSWER = "I found 5 pothole reports near Main St. Two of them are open. " * 4


@tool
def find_reports() -> str:
    """Finds reports near Main St."""
    return FOUND


class Scripted(Model):
    async def stream(self, messages: Any, *_: Any, **__: Any) -> AsyncIterator[Any]:
        answers = "toolResult" in messages[-1]["content"][0]
        yield {"messageStart": {"role": "assistant"}}
        if answers:
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": ANSWER}}}
        else:
            use = {"name": "find_reports", "toolUseId": f"use-{len(messages)}"}
            yield {"contentBlockStart": {"start": {"toolUse": use}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": "{}"}}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn" if answers else "tool_use"}}

    async def structured_output(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise NotImplementedError
        yield

    def update_config(self, **_: Any) -> None:
        pass

    def get_config(self) -> Any:
        return {}


async def setup(base_url: str, token: str) -> Any:
    manager = SessionStoreSessionManager("thread", client=Client(base_url, token))
    return Agent(
        session_manager=manager, model=Scripted(), tools=[find_reports], callback_handler=None
    )


async def turn(state: Any) -> None:
    await state.invoke_async(QUESTION)
