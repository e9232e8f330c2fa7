"""Citations and sources in answers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quoted

from app.grounding.model import Citation, Locator, Source
from app.grounding.sources import MAX_KEY, key_hash
from app.grounding.texts import Passage, Span, Text
from app.grounding.verdicts import WITHDRAWN, Verdicts, of_citation, of_source


@dataclass(frozen=True, slots=True)
class Shape:
    """How an answer shows citations: with offsets in UTF-16 code units; with those of the joined
    text, which is a neutral view's `content`; with what was said of the sources."""

    utf16: bool = False
    joined: bool = False
    verdicts: Verdicts = field(default_factory=dict)


_SURROGATE = re.compile("[\ud800-\udfff]")


def readable(text: str) -> str:
    """With U+FFFD for each half of a surrogate pair, so that no offset moves."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def source_text(source: Source, shape: Shape, *, cited: bool) -> str:
    """The JSON text of a source. It is written by hand, as that of a citation, because a session
    may have thousands."""
    key, verdict = source.key or "", of_source(source, shape.verdicts)
    return (
        f'{{"hash":"{key_hash(key)}","key":{quoted(key)},"kind":"{source.kind}",'
        f'"title":{_text(source.title)},"raw":{_text(source.raw)},'
        f'"version":{_text(source.version)},"identity":"{source.identity}",'
        f'"cited":{_JSON[cited]},"verdict":"{verdict}"}}'
    )


_JSON = {True: "true", False: "false"}


def _text(name: str | None) -> str:
    """A long name is cut. The provider's own object has all of it."""
    return "null" if name is None else quoted(name[:MAX_KEY])


def citation_text(
    member: str, citation: Citation, text: Text, shape: Shape, message_id: str | None = None
) -> str:
    """The JSON text of a citation. `member` is the member of the message into which the pointers
    lead. What a withdrawn source says is left out."""
    passage, source, at = citation.passage, citation.source, citation.locator
    said = "null" if passage is None else quoted(readable(text.cut(passage)))
    reason, verdict = citation.reason, of_citation(citation, shape.verdicts)
    quote = "null"
    if citation.quote is not None and verdict != WITHDRAWN:
        quote = quoted(citation.quote)
    return (
        f"{{{f'{_MESSAGE}{message_id}{_AND}' if message_id else ''}"
        f'"anchor":"{citation.anchor}","text":{said},'
        f'"at":[{_spans(passage, text, shape) if passage else ""}],'
        f'"source":{"null" if source.key is None else quoted(source.key)},'
        f'"resolves":{_JSON[reason is None]},'
        f'"reason":{"null" if reason is None else quoted(reason)},"quote":{quote},'
        f'"locator":{_locator(at) if at else "null"},'
        f'"score":{"null" if citation.score is None else repr(citation.score)},'
        f'"verdict":"{verdict}","member":"{member}","from":{quoted(citation.pointer)}}}'
    )


_MESSAGE, _AND = '"message_id":"', '",'


def _locator(at: Locator) -> str:
    return f'{{"unit":"{at.unit}","start":{at.start},"end":{at.end}}}'


def _spans(passage: Passage, text: Text, shape: Shape) -> str:
    spans: Iterable[Span]
    if shape.joined:
        spans = [text.joined_span(passage, "/content", utf16=shape.utf16)]
    else:
        spans = text.spans_in_utf16(passage) if shape.utf16 else text.spans(passage)
    return ",".join(
        f'{{"path":{quoted(path)},"start":{start},"end":{end}}}' for path, start, end in spans
    )
