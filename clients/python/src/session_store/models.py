"""What the service answers, and what it is sent, as types.

Answers are frozen dataclasses. Members that this version does not know are left out. Requests take
the TypedDicts as keyword arguments or as dicts; a member that is left out is not sent, and None is
sent as null. `docs/openapi.json` describes each member.

The types of grounding are in `grounding`. This module is over 250 lines because all other types of
the API are here.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NotRequired, Required, Self, TypedDict

from session_store._answer import Answer
from session_store.grounding import Citation, Source, ToolCall, ToolResult

Json = Any
"""Any JSON value."""

Status = Literal["in_progress", "complete", "interrupted"]
Order = Literal["asc", "desc"]
View = Literal["neutral"]
Include = Literal["grounding"]


@dataclass(frozen=True, kw_only=True)
class Feedback(Answer):
    by: str
    at: datetime
    rating: str | float | bool
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class Message(Answer):
    """`native`, `format` and `grounding` are None if it was sent without them. With
    `include="grounding"`, `grounding` also has the summary of what the message cites. `tool_calls`,
    `tool_results`, `citations`, `sources` and `truncated` are those of the neutral view. `etag` is
    None in a list."""

    message_id: str
    session_id: str
    timestamp: datetime
    created_by: str
    role: str
    name: str | None
    status: Status
    edited_at: datetime | None
    content: Json
    metadata: dict[str, Any]
    format: str | None = None
    native: Json = None
    grounding: dict[str, Any] | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_results: tuple[ToolResult, ...] | None = None
    citations: tuple[Citation, ...] | None = None
    sources: tuple[Source, ...] | None = None
    truncated: bool | None = None
    imported: bool = False
    feedback: tuple[Feedback, ...] = ()
    etag: str | None = None

    @classmethod
    def of(cls, members: Mapping[str, Any], **more: Any) -> Self:
        found = {**members}
        for name, kind in _LISTS.items():
            if name in found:
                found[name] = tuple(kind.of(each) for each in found[name] or ())
        return super().of(found, **more)


_LISTS: Mapping[str, type[Answer]] = {
    "feedback": Feedback,
    "tool_calls": ToolCall,
    "tool_results": ToolResult,
    "citations": Citation,
    "sources": Source,
}


@dataclass(frozen=True, kw_only=True)
class Receipt(Answer):
    """A message that was stored. `unindexed` is how many of its sources `sources.answers` does not
    find, because a request may have too many of them; of several messages, see `Appended`."""

    message_id: str
    session_id: str
    timestamp: datetime
    unindexed: int = 0


@dataclass(frozen=True, kw_only=True)
class Appended:
    """`previous` is the id of the message before, if the request had `after`. `values` has what
    became of the values beside the messages, by place. `unindexed` is how many sources of the
    request `sources.answers` does not find."""

    messages: tuple[Receipt, ...]
    session_etag: str
    previous: str | None
    values: Mapping[str, "tuple[Result, ...]"]
    replayed: bool
    unindexed: int = 0


@dataclass(frozen=True, kw_only=True)
class Edited(Answer):
    message_id: str
    session_id: str
    timestamp: datetime
    edited_at: datetime
    status: Status
    etag: str
    session_etag: str
    unindexed: int = 0


@dataclass(frozen=True, kw_only=True)
class MessagePage:
    messages: tuple[Message, ...]
    next_cursor: str | None
    changed: str | None


@dataclass(frozen=True, kw_only=True)
class Popped:
    """`messages` is None if an earlier try of this request had removed them already."""

    message_ids: tuple[str, ...]
    messages: tuple[Message, ...] | None
    session_etag: str


@dataclass(frozen=True, kw_only=True)
class LastMessage(Answer):
    message_id: str
    role: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Origin(Answer):
    session_id: str
    message_id: str | None


@dataclass(frozen=True, kw_only=True)
class Session(Answer):
    """`etag` is None in a list. There, `metadata` is None if it is too long for the list."""

    session_id: str
    id: str
    key: str | None
    title: str
    domain_id: str
    message_count: int
    feedback_count: int
    created_at: datetime
    updated_at: datetime
    last_activity: datetime
    expires_at: datetime | None
    archived: bool
    pinned: bool
    last_message: LastMessage | None
    metadata: dict[str, Any] | None
    version: int
    settings_version: int
    forked_from: Origin | None
    imported: bool
    etag: str | None = None

    @classmethod
    def of(cls, members: Mapping[str, Any], **more: Any) -> Self:
        last, origin = members["last_message"], members["forked_from"]
        found = {
            **members,
            "last_message": LastMessage.of(last) if last else None,
            "forked_from": Origin.of(origin) if origin else None,
        }
        return super().of(found, **more)


@dataclass(frozen=True, kw_only=True)
class OpenedSession(Session):
    """A session with messages, oldest first, and values.

    `next_cursor` continues after the messages, `earlier_cursor` before them, in descending order.
    """

    messages: tuple[Message, ...] = ()
    next_cursor: str | None = None
    earlier_cursor: str | None = None
    changed: str | None = None
    values: "tuple[Value, ...]" = ()
    values_cursor: str | None = None
    user_values: "tuple[Value, ...]" = ()
    user_values_cursor: str | None = None
    tenant_values: "tuple[Value, ...]" = ()
    tenant_values_cursor: str | None = None

    @classmethod
    def of(cls, members: Mapping[str, Any], **more: Any) -> Self:
        found = {**members, "messages": tuple(Message.of(each) for each in members["messages"])}
        for name in ("values", "user_values", "tenant_values"):
            found[name] = tuple(Value.of(each) for each in members.get(name, ()))
        return super().of(found, **more)


@dataclass(frozen=True, kw_only=True)
class SessionPage:
    sessions: tuple[Session, ...]
    next_cursor: str | None
    total: int | None


@dataclass(frozen=True, kw_only=True)
class Value(Answer):
    """`content` is the parsed JSON, or bytes; None if only the names were asked for."""

    name: str
    content_type: str
    etag: str
    size: int
    updated_at: datetime
    content: Json = None

    @classmethod
    def of(cls, members: Mapping[str, Any], **more: Any) -> Self:
        content = members.get("json")
        if "base64" in members:
            content = base64.b64decode(members["base64"])
        return super().of({**members, "content": content}, **more)


@dataclass(frozen=True, kw_only=True)
class ValuePage:
    values: tuple[Value, ...]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one operation on values. `value` is what was read or written, `values` what
    was listed. `problem` has `code` and `detail` if it failed."""

    status: int
    name: str | None = None
    etag: str | None = None
    value: Value | None = None
    values: tuple[Value, ...] = ()
    next_cursor: str | None = None
    problem: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status < 400

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> Self:
        listed = members.get("values", ())
        return cls(
            status=members["status"],
            name=members.get("name"),
            etag=members.get("etag"),
            value=Value.of(members) if "size" in members else None,
            values=tuple(Value.of(each) for each in listed),
            next_cursor=members.get("next_cursor"),
            problem=members if members["status"] >= 400 else {},
        )


@dataclass(frozen=True, kw_only=True)
class Erased:
    deleted_sessions: int
    deleted_messages: int


class Settings(TypedDict, total=False):
    """Of a session. `expires_in_days` counts from now."""

    title: str | None
    metadata: dict[str, Any] | None
    expires_in_days: int | None
    archived: bool | None
    pinned: bool | None


class SessionToCreate(Settings, total=False):
    domain_id: Required[str]
    key: str | None


class NewMessage(TypedDict, total=False):
    """Has `content`, or `native` with `format`, or both."""

    role: str | None
    name: str | None
    content: Json
    metadata: dict[str, Any] | None
    format: str | None
    native: Json
    grounding: dict[str, Any] | None
    status: Status | None


class DatedMessage(NewMessage, total=False):
    """`created_at` is a time as in RFC 3339."""

    created_at: Required[str]
    created_by: str | None


class Filters(TypedDict, total=False):
    """Of a list of sessions. `metadata` compares members with text, numbers, booleans or None.
    Times are as in RFC 3339; `q` is looked for in titles."""

    domain_id: str
    archived: bool
    pinned: bool
    q: str
    created_from: str
    created_to: str
    active_from: str
    active_to: str
    metadata: Mapping[str, str | float | bool | None]


class Write(TypedDict, total=False):
    """Has `put` with `json` or `base64`, or `delete`."""

    put: str
    delete: str
    json: Json
    base64: str
    content_type: str
    if_match: str
    if_none_match: Literal["*"]


class Operation(Write, total=False):
    """Has `put`, `delete`, `get` or `list`."""

    get: str
    list: str
    order: Order
    limit: int
    cursor: str
    names_only: bool


class Beside(TypedDict):
    """Values to write in the same step as messages, by place."""

    session: NotRequired[list[Write]]
    user: NotRequired[list[Write]]
    tenant: NotRequired[list[Write]]
