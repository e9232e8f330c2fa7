"""Bedrock RetrieveAndGenerate: the end of a span is its last character."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from app.formats import bedrock_knowledge_bases
from app.formats.reading import member, objects, string
from app.grounding import sources
from app.grounding.documents import NO_SOURCE
from app.grounding.model import MAX_LISTED, Citation, Found, Source, score
from app.grounding.texts import Text, whole_number


def read(native: Any, _request: Any) -> Found:
    text = Text()
    name = "input" if bedrock_knowledge_bases.role(native) == "user" else "output"
    said = member(native, name, "text")
    if isinstance(said, str):
        text.add(f"/{name}/text", said)
    return Found(text, _citations(native, text))


def _citations(native: Any, text: Text) -> Iterator[Citation]:
    for pointer, cited in objects(member(native, "citations"), "/citations"):
        part = member(cited, "generatedResponsePart", "textResponsePart")
        last = whole_number(member(part, "span", "end"))
        after = None if last is None else last + 1
        passage, fault = text.passage(member(part, "span", "start"), after)
        echo = member(part, "text")
        about: dict[str, Any] = {
            "passage": passage,
            "fault": fault,
            "echo": echo if isinstance(echo, str) else None,
        }
        where = f"{pointer}/retrievedReferences"
        references = list(islice(objects(cited.get("retrievedReferences"), where), MAX_LISTED))
        for at, reference in references:
            yield Citation(
                "claim",
                _source(reference),
                at,
                quote=string(member(reference, "content", "text")),
                score=score(reference.get("score")),
                **about,
            )
        if not references:
            yield Citation("claim", sources.unknown("", NO_SOURCE), pointer, **about)


def _source(reference: dict[str, Any]) -> Source:
    """Each of the ten kinds of location has a member of its own, which holds one name."""
    location = reference.get("location")
    for inside in location.values() if isinstance(location, dict) else ():
        found = (
            sources.url(member(inside, "uri"))
            or sources.url(member(inside, "url"))
            or sources.document(member(inside, "id"))
            or sources.weak_document("bedrock", member(inside, "query"))
        )
        if found:
            return found
    named = member(reference, "metadata", "x-amz-bedrock-kb-source-uri")
    return sources.url(named) or sources.unknown("", NO_SOURCE)
