"""A model that is called with the history; what it was asked and has answered is added to that."""

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from session_store import AsyncClient, Client

QUESTION = "Which potholes near Main St are still open, and since when? " * 4
FOUND = "inc_abc123 pothole, Main St 12, open since 3 May. " * 8
ANSWER = "I found 5 pothole reports near Main St. Two of them are open. " * 4


async def setup(base_url: str, token: str) -> Any:
    from session_store.adapters.langchain import SessionStoreChatMessageHistory

    return SessionStoreChatMessageHistory(
        "thread", client=Client(base_url, token), async_client=AsyncClient(base_url, token)
    )


async def turn(state: Any) -> None:
    await state.aget_messages()
    call = {"name": "find_reports", "args": {"near": "Main St"}, "id": "call_1"}
    await state.aadd_messages(
        [
            HumanMessage(QUESTION),
            AIMessage("", tool_calls=[call]),
            ToolMessage(FOUND, tool_call_id="call_1"),
            AIMessage(ANSWER),
        ]
    )
