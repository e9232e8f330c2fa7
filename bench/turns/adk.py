"""An agent with a tool: a message of the user, a call of the tool, its result, the answer. The
agent and the tool write state."""

from collections.abc import AsyncGenerator
from typing import Any

from google.adk.agents import Agent
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import Runner
from google.adk.tools import ToolContext
from google.genai import types

from session_store import AsyncClient

QUESTION = "Which potholes near Main St are still open, and since when? " * 4
FOUND = "inc_abc123 pothole, Main St 12, open since 3 May. " * 8
ANSWER = "I found 5 pothole reports near Main St. Two of them are open. " * 4


class Model(BaseLlm):
    async def generate_content_async(
        self,
        llm_request: LlmRequest,
        stream: bool = False,  # noqa: ARG002
    ) -> AsyncGenerator[LlmResponse, None]:
        """Asks for the tool, and answers with what that has found."""
        [*_, last] = llm_request.contents[-1].parts or []
        if last.function_response:
            yield LlmResponse(content=types.ModelContent(ANSWER))
        else:
            part = types.Part.from_function_call(name="find_reports", args={"near": "Main St"})
            yield LlmResponse(content=types.ModelContent(part))


def find_reports(near: str, tool_context: ToolContext) -> str:
    """Finds reports near a place."""
    tool_context.state["last_search"] = near
    return FOUND


async def setup(base_url: str, token: str) -> Any:
    from session_store.adapters.adk import SessionStoreSessionService

    agent = Agent(
        name="helper", model=Model(model="fake"), tools=[find_reports], output_key="answer"
    )
    service = SessionStoreSessionService(AsyncClient(base_url, token))
    runner = Runner(app_name="reports", agent=agent, session_service=service)
    await service.create_session(app_name="reports", user_id="alice", session_id="thread")
    return runner


async def turn(state: Any) -> None:
    message = types.UserContent(QUESTION)
    events = state.run_async(user_id="alice", session_id="thread", new_message=message)
    texts = [event.content.parts[0].text async for event in events]
    assert texts[-1] == ANSWER  # noqa: S101
