"""Graphs of the tests. Run by itself, it takes one step of a conversation in a process of its own:

python agents.py THREAD run|resume|state [END_AT]
"""

import json
import operator
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

from langgraph.channels import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict


def appended(before: Any, new: Sequence[Any]) -> Any:
    return [*before, *(item for each in new for item in each)]


class Plain(TypedDict, total=False):
    said: Annotated[list[str], operator.add]
    round: int


class Delta(TypedDict, total=False):
    said: Annotated[list[str], DeltaChannel(appended, snapshot_frequency=7)]
    round: int


def fan_out(saver: Any, schema: Any, *, end_at: str | None = None) -> Any:
    """plan → three workers at once → a subgraph that asks → done. `end_at` kills the process in
    that node."""

    def node(name: str) -> Any:
        def run(state: Any) -> Any:
            if name == end_at:
                os._exit(3)
            return {"said": [f"{name} {state.get('round', 0)}"]}

        return run

    def worker(state: Any) -> Any:
        if end_at == f"worker {state['number']}":
            os._exit(3)
        return {"said": [f"worker {state['number']}"]}

    def ask(state: Any) -> Any:
        return {"said": [f"answer {interrupt('Go on?')} {interrupt('Sure?')}"]}

    inner = StateGraph(schema)
    inner.add_node("before", node("before"))
    inner.add_node("ask", ask)
    inner.add_edge(START, "before")
    inner.add_edge("before", "ask")
    inner.add_edge("ask", END)
    asking = inner.compile()

    def inside(state: Any) -> Any:
        found = asking.invoke({"said": [], "round": state.get("round", 0)})
        return {"said": [f"inner: {len(found['said'])}", found["said"][-1]]}

    outer = StateGraph(schema)
    outer.add_node("plan", node("plan"))
    outer.add_node("worker", worker)
    outer.add_node("inside", inside)
    outer.add_node("done", lambda state: {"said": ["done"], "round": state.get("round", 0) + 1})
    outer.add_edge(START, "plan")
    outer.add_conditional_edges(
        "plan", lambda state: [Send("worker", {"number": number}) for number in range(3)]
    )
    outer.add_edge("worker", "inside")
    outer.add_edge("inside", "done")
    return outer.compile(checkpointer=saver)


def config_of(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def main() -> None:
    from session_store import Client
    from session_store.adapters.langgraph import SessionStoreSaver

    thread, what, *end_at = sys.argv[1:]
    client = Client(os.environ["SESSION_STORE_URL"], os.environ["SESSION_STORE_TOKEN"])
    graph = fan_out(SessionStoreSaver(client), Delta, end_at=end_at[0] if end_at else None)
    if what == "run":
        graph.invoke({"said": ["hello"]}, config_of(thread), durability="sync")
    elif what == "continue":
        graph.invoke(None, config_of(thread), durability="sync")
    elif what == "resume":
        graph.invoke(Command(resume="yes"), config_of(thread), durability="sync")
    state = graph.get_state(config_of(thread))
    print(json.dumps({"said": state.values.get("said"), "next": state.next}))


if __name__ == "__main__":
    main()
