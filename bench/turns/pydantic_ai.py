"""An agent with a tool: the conversation is loaded, the agent is run, the result is saved."""

from typing import Any

from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from session_store import AsyncClient

QUESTION = "Which potholes near Main St are still open, and since when? " * 4
FOUND = "inc_abc123 pothole, Main St 12, open since 3 May. " * 8
ANSWER = "I found 5 pothole reports near Main St. Two of them are open. " * 4


def model(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Asks for the tool, and answers with what that has found."""
    if messages[-1].parts[-1].part_kind == "tool-return":
        return ModelResponse(parts=[TextPart(ANSWER)])
    return ModelResponse(parts=[ToolCallPart("find_reports", {"near": "Main St"})])


async def setup(base_url: str, token: str) -> Any:
    from session_store.adapters.pydantic_ai import SessionStoreConversationStore

    agent = Agent(FunctionModel(model))

    @agent.tool_plain
    def find_reports(near: str) -> str:  # noqa: ARG001
        return FOUND

    return agent, SessionStoreConversationStore(AsyncClient(base_url, token))


async def turn(state: Any) -> None:
    agent, store = state
    conversation = await store.load("thread") or Conversation(conversation_id="thread")
    result = await agent.run(QUESTION, conversation=conversation)
    assert result.output == ANSWER  # noqa: S101
    await store.save(result)
