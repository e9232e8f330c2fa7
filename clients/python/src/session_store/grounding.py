"""What answers rest on, and what a tenant has said of it, as types. `docs/grounding.md` describes
each member."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Required, Self, TypedDict

from session_store._answer import Answer

Offsets = Literal["codepoints", "utf16"]
State = Literal["current", "changed", "withdrawn"]
"""What became of a source."""


@dataclass(frozen=True, kw_only=True)
class Span(Answer):
    path: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Locator(Answer):
    unit: Literal["char", "page", "block", "chunk"]
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Citation(Answer):
    """`message_id` is None if the message is known anyway."""

    anchor: Literal["claim", "marker", "point", "block", "message"]
    text: str | None
    at: tuple[Span, ...]
    source: str | None
    resolves: bool
    reason: str | None
    quote: str | None
    locator: Locator | None
    score: float | None
    verdict: Literal["withdrawn", "changed", "dangling", "ungoverned", "current"]
    member: Literal["native", "content", "metadata"]
    from_: str
    message_id: str | None = None

    @classmethod
    def of(cls, members: Mapping[str, Any], **more: Any) -> Self:
        locator = members["locator"]
        found = {
            **members,
            "at": tuple(Span.of(each) for each in members["at"]),
            "locator": Locator.of(locator) if locator else None,
        }
        return super().of(found, **more)


@dataclass(frozen=True, kw_only=True)
class Source(Answer):
    hash: str
    key: str
    kind: str
    title: str | None
    raw: str
    version: str | None
    identity: Literal["strong", "weak", "redirect"]
    cited: bool
    verdict: Literal["withdrawn", "changed", "ungoverned", "current"]


@dataclass(frozen=True, kw_only=True)
class ToolCall(Answer):
    id: str | None
    name: str | None
    by_provider: bool
    arguments: Any
    member: str
    from_: str


@dataclass(frozen=True, kw_only=True)
class ToolResult(Answer):
    call_id: str | None
    name: str | None
    content: Any
    member: str
    from_: str


@dataclass(frozen=True, kw_only=True)
class Figure(Answer):
    numerator: int | None
    denominator: int
    anchors: list[str]


@dataclass(frozen=True, kw_only=True)
class Figures(Answer):
    sentences_cited: Figure
    characters_claimed: Figure
    citations_resolved: Figure
    spans_as_echoed: Figure
    quotes_verbatim: Figure
    quotes_normalised: Figure
    quotes_absent: Figure
    quotes_unknowable: Figure
    sources_never_cited: Figure
    citations_changed: Figure
    citations_withdrawn: Figure

    @classmethod
    def of(cls, members: Mapping[str, Any], **more: Any) -> Self:
        return super().of({name: Figure.of(each) for name, each in members.items()}, **more)


@dataclass(frozen=True, kw_only=True)
class Grounding(Answer):
    """Of a message."""

    citations: tuple[Citation, ...]
    sources: tuple[Source, ...]
    figures: Figures
    truncated: bool

    @classmethod
    def of(cls, members: Mapping[str, Any], **more: Any) -> Self:
        found = {
            **members,
            "citations": tuple(Citation.of(each) for each in members["citations"]),
            "sources": tuple(Source.of(each) for each in members["sources"]),
            "figures": Figures.of(members["figures"]),
        }
        return super().of(found, **more)


@dataclass(frozen=True, kw_only=True)
class SessionGrounding(Grounding):
    """Of the messages of one page. `next_cursor` continues after them, `earlier_cursor` before
    them, in descending order."""

    checked_messages: int
    next_cursor: str | None
    earlier_cursor: str | None = None


@dataclass(frozen=True, kw_only=True)
class SourceAnswer(Answer):
    """Where a source is cited."""

    session_id: str
    message_id: str
    timestamp: datetime


@dataclass(frozen=True, kw_only=True)
class TenantSourceAnswer(SourceAnswer):
    user_id: str


@dataclass(frozen=True, kw_only=True)
class SourceAnswerPage:
    answers: tuple[SourceAnswer, ...]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class TenantSourceAnswerPage:
    answers: tuple[TenantSourceAnswer, ...]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class Verdict(Answer):
    """What became of a source. `reason` is also None without the scope `sources:govern`."""

    hash: str
    key: str
    state: State
    version: str | None
    governed_at: datetime
    governed_by: str
    etag: str
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Redaction(Answer):
    """The receipt of a redaction: what was done, and what is not found or not removed."""

    hash: str
    started_at: datetime
    finished_at: datetime | None
    checked_messages: int
    redacted_messages: int
    never_indexed: list[str]
    not_removed: list[str]


class NewVerdict(TypedDict, total=False):
    """`version` is the present one of a source that has changed."""

    key: Required[str]
    state: Required[State]
    version: str | None
    reason: str | None
