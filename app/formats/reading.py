"""Reading JSON of which nothing is certain: what is missing or of another type is None or empty."""

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from typing import Any

from app.formats.model import ToolCall

_SURROGATE = re.compile("[\ud800-\udfff]")
_CAPITAL = re.compile("[A-Z]")
_WORD = re.compile(r"[A-Za-z][\w.-]{0,63}", re.ASCII)
_ROLES = {
    "ai": "assistant",
    "chatbot": "assistant",
    "model": "assistant",
    "function": "tool",
    "human": "user",
}


def member(value: Any, *names: str) -> Any:
    """
    >>> member({"output": {"text": "Hi"}}, "output", "text")
    'Hi'
    >>> member({"output": ["Hi"]}, "output", "text")
    """
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def either(value: Any, name: str) -> tuple[str, Any]:
    """A member in camelCase, or in snake_case as Python SDKs write it, with the name that it has.

    >>> either({"page_span": 1}, "pageSpan"), either({}, "pageSpan")
    (('page_span', 1), ('pageSpan', None))
    """
    if not isinstance(value, dict):
        return name, None
    found = value.get(name)
    if found is None and (written := value.get(_snake(name))) is not None:
        return _snake(name), written
    return name, found


@cache
def _snake(name: str) -> str:
    return _CAPITAL.sub(lambda letter: f"_{letter[0].lower()}", name)


def objects(value: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects in an array, each with its JSON Pointer.

    >>> list(objects([7, {"a": 1}], "/parts"))
    [('/parts/1', {'a': 1})]
    """
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield f"{pointer}/{index}", item


def leaves(pointer: str, value: Any) -> Iterator[tuple[str, str, Any]]:
    """What a value holds that is no object, in the order of the text: JSON Pointers, names of
    members and values. An array is followed by its elements, which have no names.

    >>> list(leaves("/a", {"b": ["c"], "d/e": 1}))
    [('/a/b', 'b', ['c']), ('/a/b/0', '', 'c'), ('/a/d~1e', 'd/e', 1)]
    """
    waiting = [(pointer, "", value)]
    while waiting:
        where, name, each = waiting.pop()
        if isinstance(each, dict):
            inside = [(f"{where}/{escaped(name)}", name, value) for name, value in each.items()]
            waiting.extend(reversed(inside))
            continue
        yield where, name, each
        if isinstance(each, list):
            inside = [(f"{where}/{index}", "", value) for index, value in enumerate(each)]
            waiting.extend(reversed(inside))


def escaped(name: str) -> str:
    """A name as a token of a JSON Pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def steps(pointer: str) -> list[str]:
    """The names and indexes in a JSON Pointer.

    >>> steps("/a~1b/0")
    ['a/b', '0']
    """
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def at(value: Any, pointer: str) -> Any:
    """What a JSON Pointer leads to, which must be there.

    >>> at({"a/b": [7]}, "/a~1b/0")
    7
    """
    for step in steps(pointer):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def string(value: Any) -> str | None:
    """Text that is not empty: some libraries write an empty id where there is none."""
    return readable(value) if isinstance(value, str) and value else None


def kind(block: Any) -> str:
    """The `type` of a block or item, empty if it has none."""
    found = member(block, "type")
    return found if isinstance(found, str) else ""


def role(word: Any) -> str | None:
    """A provider's word for who speaks, in ours.

    >>> role("model"), role("critic"), role("two words"), role(None)
    ('assistant', 'critic', None, None)
    """
    if not isinstance(word, str) or not _WORD.fullmatch(word):
        return None
    return _ROLES.get(word.lower(), word)


def texts(content: Any, types: Collection[str] = ("text",)) -> Iterator[Any]:
    """The texts of content: a string, or an array of strings and of blocks with a `type`."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            if isinstance(block, str):
                yield block
            elif isinstance(block, dict):
                if kind(block) == "refusal":
                    yield block.get("refusal")
                elif kind(block) in types:
                    yield block.get("text")


def joined(pieces: Iterable[Any], separator: str = "") -> str:
    """The strings among the pieces as one text.

    >>> joined(["half a ", None, "pair"])
    'half a pair'
    """
    return readable(separator.join(piece for piece in pieces if isinstance(piece, str)))


def readable(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, so that UTF-8 can say it. Halves that
    meet, because a stream was cut between them, are the character again."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def calls_in_kwargs(message: dict[str, Any], pointer: str) -> list[ToolCall]:
    """The calls in `additional_kwargs`, where LangChain and LlamaIndex keep OpenAI's objects."""
    return [
        ToolCall(string(call.get("id")), string(member(call, "function", "name")), where)
        for where, call in objects(
            member(message, "additional_kwargs", "tool_calls"),
            f"{pointer}/additional_kwargs/tool_calls",
        )
    ]
