"""An agent with a tool: the model asks for it, it is run, the model answers."""

from typing import Any

from agents import Agent, Runner, function_tool
from agents.testing import ScriptedModel
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from session_store import AsyncClient
from session_store.adapters.openai_agents import SessionStoreSession

QUESTION = "Which potholes near Main St are still open, and since when? " * 4
FOUND = "inc_abc123 pothole, Main St 12, open since 3 May. " * 8
ANSWER = "I found 5 pothole reports near Main St. Two of them are open. " * 4


@function_tool
def find_reports() -> str:
    """Finds reports near Main St."""
    return FOUND


def steps() -> list[Any]:
    call = ResponseFunctionToolCall(
        id="fc_1", call_id="call_1", type="function_call", name="find_reports", arguments="{}"
    )
    text = ResponseOutputText(text=ANSWER, type="output_text", annotations=[])
    message = ResponseOutputMessage(
        id="msg_1", type="message", role="assistant", content=[text], status="completed"
    )
    return [[call], [message]]


async def setup(base_url: str, token: str) -> Any:
    return SessionStoreSession("thread", client=AsyncClient(base_url, token))


async def turn(state: Any) -> None:
    agent = Agent(name="a", model=ScriptedModel(steps=steps()), tools=[find_reports])
    await Runner.run(agent, QUESTION, session=state)
