"""Gemini generateContent: a response, a candidate, a Content, an array of parts, or one part; in
camelCase, or in snake_case as the Python SDK's `model_dump` writes it."""

from collections.abc import Iterator
from typing import Any

from app.formats import reading
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import joined, member, objects, string

RESULTS = Window.NEXT
"""All of them in one Content, by id if there is one, else by name and order."""

_CALL = ("functionCall", "function_call")
_RESULT = ("functionResponse", "function_response")
_OUTPUT = ("output", "result", "error")


def role(native: Any) -> str | None:
    """A Content of nothing but function responses is the tool's, also where its role is user."""
    pointer, content = content_of(native)
    if holds_only_results(content):
        return "tool"
    said = reading.role(member(content, "role"))
    return said or ("assistant" if pointer.startswith("/candidates") else None)


def text(native: Any) -> str:
    """The first candidate's: the others are alternatives."""
    return text_of(content_of(native)[1])


def tool_calls(native: Any) -> list[ToolCall]:
    return calls_of(*content_of(native))


def tool_results(native: Any) -> list[ToolResult]:
    return results_of(*content_of(native))


def text_of(content: Any) -> str:
    if holds_only_results(content):
        outputs = (result.get("response") for _, result in _members(content, "", _RESULT))
        return joined(member(output, name) for output in outputs for name in _OUTPUT)
    return joined(part.get("text") for _, part in parts_of(content, "") if not part.get("thought"))


def calls_of(pointer: str, content: Any) -> list[ToolCall]:
    return [
        ToolCall(string(call.get("id")), string(call.get("name")), where)
        for where, call in _members(content, pointer, _CALL)
    ]


def results_of(pointer: str, content: Any) -> list[ToolResult]:
    return [
        ToolResult(string(result.get("id")), string(result.get("name")), where)
        for where, result in _members(content, pointer, _RESULT)
    ]


def holds_only_results(content: Any) -> bool:
    parts = [part for _, part in parts_of(content, "")]
    return bool(parts) and all(
        any(isinstance(part.get(name), dict) for name in _RESULT) for part in parts
    )


def content_of(native: Any) -> tuple[str, Any]:
    pointer, found = next(objects(member(native, "candidates"), "/candidates"), ("", native))
    if isinstance(member(found, "content"), dict):
        return f"{pointer}/content", found["content"]
    return pointer, found


def parts_of(content: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(content, list):
        yield from objects(content, pointer)
    elif isinstance(member(content, "parts"), list):
        yield from objects(content["parts"], f"{pointer}/parts")
    elif isinstance(content, dict):
        yield pointer, content


def _members(
    content: Any, pointer: str, names: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, part in parts_of(content, pointer):
        for name in names:
            if isinstance(part.get(name), dict):
                yield f"{where}/{name}", part[name]
                break
