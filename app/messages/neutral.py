"""Messages of any provider in one form: their content is the text, and calls of tools, results and
citations stand beside it. It is worked out for each response; what is stored stays as it is."""

from collections.abc import Iterable
from itertools import takewhile
from typing import Any

from app import formats
from app.formats.model import ToolCall, ToolResult
from app.formats.reading import at
from app.grounding import Grounding
from app.grounding.answers import Shape, readable
from app.http.answers import json_array, json_object
from app.json_rules import SURROGATE, is_too_deep
from app.literals import Sent, exact, exact_text, text_fault, text_of
from app.messages.grounding import Listed, listed
from app.messages.model import Message
from app.messages.sizes import MAX_MESSAGE_WIRE
from app.wire import wire_size

_ARGUMENTS = ("input", "arguments", "args", "tool_kwargs")
_RESULTS = ("output", "result", "response", "content", "errorText", "blocks")


def neutral(message: Message, found: Grounding, shape: Shape, summary: str = "") -> str:
    """The JSON text of a response. It is not larger than the largest message. What has no room is
    left out, and `truncated` is true. `found` is what the message rests on, and `summary` the text
    of a member that tells it in short."""
    sent = message.sent
    calls, results = _tools(sent) if sent else ((), ())
    is_result = bool(results) and message.role == "tool"  # its text is that of the results
    text = "" if is_result else readable(found.text.whole)
    metadata = sent.texts["metadata"] if sent else "{}"
    form = f'"format":{text_of(message.format)},' if sent and message.format else ""
    begin = f'{message.head}{summary}"content":{text_of(text)},{form}"metadata":{metadata},'
    taken = Listed(MAX_MESSAGE_WIRE - ROOM_FOR_NAMES, size=wire_size(begin))
    tools = {
        name: json_array(list(takewhile(taken.has_room, texts)))
        for name, texts in (("tool_calls", calls), ("tool_results", results))
    }
    cites = listed(found, shape, room=taken.room, size=taken.size)
    members = {
        **tools,
        "citations": json_array(cites.citations),
        "sources": cites.sources(),
        "truncated": taken.truncated or cites.truncated,
    }
    return f"{begin}{str(json_object(members))[1:]}"


ROOM_FOR_NAMES = 1_000
"""Bytes of the members around the lists."""


def _tools(sent: Sent) -> tuple[Iterable[str], Iterable[str]]:
    """JSON texts of the calls and of the results."""
    known, value, where = formats.recognise(sent.get("format"), sent.get("native"), sent["content"])
    calls, results = (known.tool_calls(value), known.tool_results(value)) if known else ([], [])
    if not calls and not results:
        return (), ()
    member = where[1:]
    whole = exact(sent.texts[member])
    return (
        (_call(call, at(whole, call.pointer), member) for call in calls),
        (_result(result, at(whole, result.pointer), member) for result in results),
    )


def _call(call: ToolCall, native: Any, member: str) -> str:
    arguments = _first(native, _ARGUMENTS)
    text = arguments if _is_object(arguments) else exact_text(arguments)
    about = {"id": call.id, "name": call.name, "by_provider": call.by_provider}
    return _with(about, "arguments", text, member, call.pointer)


def _is_object(arguments: Any) -> bool:
    """Whether the provider gives an object as text, which can stand here as it is."""
    return (
        isinstance(arguments, str)
        and not SURROGATE.search(arguments)
        and not is_too_deep(arguments)
        and not text_fault(arguments)
    )


def _result(result: ToolResult, native: Any, member: str) -> str:
    about = {"call_id": result.call_id, "name": result.name}
    text = exact_text(_first(native, _RESULTS))
    return _with(about, "content", text, member, result.pointer)


def _with(about: dict[str, Any], name: str, text: str, member: str, pointer: str) -> str:
    place = {"member": member, "from": pointer}
    return f'{text_of(about)[:-1]},"{name}":{text},{text_of(place)[1:]}'


def _first(native: Any, names: tuple[str, ...]) -> Any:
    for inside in (native, native.get("function"), native.get("custom")):
        for name in names:
            if isinstance(inside, dict) and inside.get(name) is not None:
                return inside[name]
    return None
