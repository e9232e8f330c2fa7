"""Finds the words of one source in a message, so that they can be removed.

They are found by what the provider's object attributes to the source. Texts are never compared.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any

from app.formats.reading import at, leaves
from app.grounding import READERS, plain, references
from app.grounding.model import Found, Held, Source
from app.grounding.sources import key_hash, mark
from app.literals import replaced, text_of

NOT_REMOVED = (
    "The answer's own text, even where it repeats the source word for word.",
    "What says which source it is: its title, name, address, id, version and page, and all numbers "
    "but embeddings.",
    "Results of tools, unless the provider names the source there: Anthropic's search results, "
    "Bedrock's search results, Cohere's documents, and Mistral's results by id where they are one "
    "JSON text in the request.",
    "The rest of a request: prompts into which text was pasted, and files that no citation can "
    "name, as those of OpenAI and Gemini.",
    "Objects in formats that the store does not read, and copies that an SDK keeps beside what is "
    "read, as LangChain's additional_kwargs and response_metadata.",
    "Members of metadata other than references.",
    "Of a message with more than 10,000 sources or 30,000 citations, what the others say.",
    "A message that is damaged.",
)
"""What the redaction of a source leaves in messages."""

IDENTITY = re.compile(
    r"""type | class_name | node_type | format | media_?type | mime_?type | key | hash | version
    | id_? | (node|reference|source|document|file|container|place)_?id
    | title | name | (document|file)_?(title|name) | path | domain | source | query
    | (document_)?ur[il] | href | link | last_updated | page_label
    | x-amz-bedrock-kb-(source-uri|chunk-id|data-source-id)""",
    re.VERBOSE | re.IGNORECASE,
)
"""Names of members whose strings say which source it is, and where in it, or how to read it."""

MAX_HELD = 30_000
"""Places of one kind in a message that are looked at. Two bytes of JSON can make one."""

MAX_MARKS = 20
"""How many copies of a text in one message get a mark that keeps the text's key. A mark has 50
characters, so the message hardly grows. Further copies become empty."""


def held_by(
    wanted: str,
    format: str | None,
    native: Any = None,
    content: Any = None,
    metadata: Any = None,
    request: Any = None,
) -> dict[str, str]:
    """What is to be put in place of the words of a source, by JSON Pointers that lead from the
    message. `wanted` is the hash of the source's key.

    Strings become empty, embeddings null. Of a document whose key is the hash of its text, the
    first string becomes a mark with the key, so that citations lead to the same source.

    >>> said = {"search_results": [{"url": "https://a.example", "snippet": "Closed."}]}
    >>> held_by(key_hash("url:https://a.example"), "perplexity.chat", said)
    {'/native/search_results/0/snippet': '""'}
    """
    message = {
        "native": native,
        "content": content,
        "metadata": metadata,
        "grounding": {"request": request},
    }
    found = _read(format, native, content, request)
    answer = {f"/{name}{piece.path}" for name, each in found.items() for piece in each.text.pieces}
    texts: dict[str, _JsonText] = {}
    instead: dict[str, str] = {}
    marks = 0
    seen = set()
    is_wanted = cache(lambda key: key_hash(key) == wanted)
    for held in _held(found, metadata):
        if not is_wanted(held.source.key) or (held.pointer, held.inside) in seen:
            continue
        seen.add((held.pointer, held.inside))
        value = at(message, held.pointer)
        if held.inside is not None:
            if held.pointer not in texts:
                texts[held.pointer] = _JsonText(value)
            text = texts[held.pointer]
            text.instead |= _without(held.inside, text.at(held.inside))
            continue
        marked = mark(held.source.key or "")
        new = _without(held.pointer, value, marked, answer)
        named_by_text = not held.source.raw
        if new and named_by_text and marks < MAX_MARKS:
            marks += 1
            new[next(iter(new))] = text_of(marked)
        instead |= new
    return instead | {where: text.replaced() for where, text in texts.items() if text.instead}


def sources_held(
    format: str | None,
    native: Any = None,
    content: Any = None,
    metadata: Any = None,
    request: Any = None,
) -> list[Source]:
    """The sources of which a message can hold words, each once. They are more than those that
    `app.grounding.read` finds, as a message may hold a document without citing it.

    >>> block = {"type": "document", "source": {"type": "text", "data": "Closed."}}
    >>> said = {"role": "user", "content": [block]}
    >>> [source.key for source in sources_held("anthropic.messages", said)]
    ['sha256:e01c351df5b7bfe2a3c22ee4a021e7d0']
    """
    found = _read(format, native, content, request)
    return list({held.source.key: held.source for held in _held(found, metadata)}.values())


def _read(format: str | None, native: Any, content: Any, request: Any) -> dict[str, Found]:
    """By the member of the message. The content is read even beside a provider's object, of which
    it may be a copy."""
    found = {"content": plain.read(content, request)}
    if native is not None and isinstance(format, str) and format in READERS:
        found["native"] = READERS[format](native, request)
    return found


def _held(found: Mapping[str, Found], metadata: Any) -> Iterator[Held]:
    """With pointers that lead from the message, and the client's own key if it has one."""
    named = references.by_address(metadata)
    for pointer, held in _pointed(found, metadata):
        source = held.source
        if source.key:
            yield held._replace(pointer=pointer, source=named.get(source.key, source))


def _pointed(found: Mapping[str, Found], metadata: Any) -> Iterator[tuple[str, Held]]:
    for name, each in found.items():
        for citation in islice(each.citations, MAX_HELD) if each.quoting else ():
            yield f"/{name}{citation.pointer}", Held(citation.pointer, citation.source)
        for held in islice(each.held, MAX_HELD):
            yield f"/{'grounding/request' if held.in_request else name}{held.pointer}", held
    for citation in islice(references.read(metadata), MAX_HELD):
        yield f"/metadata{citation.pointer}", Held(citation.pointer, citation.source)


class _JsonText:
    """A string that is JSON, and what is to be replaced in it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._value = json.loads(text)
        self.instead: dict[str, str] = {}

    def at(self, pointer: str) -> Any:
        return at(self._value, pointer)

    def replaced(self) -> str:
        return text_of(replaced(self._text, self.instead))


def _without(
    pointer: str, value: Any, kept: str = "", answer: Collection[str] = ()
) -> dict[str, str]:
    """The JSON texts to be put where a source speaks, in the order of the text."""
    return {
        where: '""' if isinstance(each, str) else "null"
        for where, name, each in leaves(pointer, value)
        if _speaks(name, each) and each != kept and where not in answer
    }


def _speaks(name: str, value: Any) -> bool:
    """Whether a member has words of the source, or numbers that were made of them."""
    if isinstance(value, str):
        return value != "" and not IDENTITY.fullmatch(name)
    return name == "embedding" and isinstance(value, list) and value != []
