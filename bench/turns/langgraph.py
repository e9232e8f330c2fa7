"""An agent with a tool: the model asks for it, it is run, the model answers. The thread's state is
stored after each step (`durability="sync"`)."""

from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, StateGraph, add_messages
from session_store import AsyncClient
from typing_extensions import TypedDict

QUESTION = "Which potholes near Main St are still open, and since when? " * 4
FOUND = "inc_abc123 pothole, Main St 12, open since 3 May. " * 8
ANSWER = "I found 5 pothole reports near Main St. Two of them are open. " * 4


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def model(state: Any) -> Any:
    """Asks for the tool, and answers with what that has found."""
    if isinstance(state["messages"][-1], ToolMessage):
        return {"messages": [AIMessage(ANSWER)]}
    call = {"name": "find_reports", "args": {"near": "Main St"}, "id": "call_1"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


def tools(state: Any) -> Any:
    [call] = state["messages"][-1].tool_calls
    return {"messages": [ToolMessage(FOUND, tool_call_id=call["id"])]}


def after_model(state: Any) -> str:
    return "tools" if state["messages"][-1].tool_calls else END


def graph(saver: Any, schema: Any = State) -> Any:
    builder = StateGraph(schema)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", after_model)
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver)


async def setup(base_url: str, token: str) -> Any:
    from session_store.adapters.langgraph import SessionStoreSaver

    return graph(SessionStoreSaver(AsyncClient(base_url, token)))


async def turn(state: Any) -> None:
    config = {"configurable": {"thread_id": "thread"}}
    said = {"messages": [HumanMessage(QUESTION)]}
    await state.ainvoke(said, config, durability="sync")
