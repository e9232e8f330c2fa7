"""The routes from a source to the answers that cite it, and to their redaction."""

from typing import Any

from flask import current_app
from werkzeug.local import LocalProxy

from app.grounding.redaction import NOT_REMOVED
from app.http.api import Blueprint
from app.http.header_schemas import IdempotencySchema
from app.http.repeats import key_of
from app.identity.auth import current_caller
from app.sources.listing import AnswerLister, AnswerPage
from app.sources.redactor import SourceRedactor
from app.sources.schemas import (
    AnswersQuerySchema,
    RedactionSchema,
    SourceAnswersSchema,
    TenantSourceAnswersSchema,
)

blp = Blueprint("sources", __name__, description="The sources that answers rest on")

redactor: SourceRedactor = LocalProxy(lambda: current_app.extensions["source_redactor"])  # type: ignore[assignment]
lister: AnswerLister = LocalProxy(lambda: current_app.extensions["answer_lister"])  # type: ignore[assignment]


@blp.get("/sources/<hash>/answers")
@blp.arguments(AnswersQuerySchema, location="query")
@blp.response(200, SourceAnswersSchema)
@blp.problems(404, 422)
def list_source_answers(query: dict[str, Any], hash: str) -> AnswerPage:
    """List your answers that cite a source, latest first

    `hash` is that of a source in a message's grounding. The list is read from an index, so a write
    may take a moment to show. Deleted answers are left out after a page is read, so a page may be
    short or empty while `next_cursor` leads to more.
    """
    return lister.of_caller(current_caller(), hash, **query)


@blp.get("/tenant/sources/<hash>/answers")
@blp.arguments(AnswersQuerySchema, location="query")
@blp.response(200, TenantSourceAnswersSchema)
@blp.problems(404, 422)
def list_tenant_source_answers(query: dict[str, Any], hash: str) -> AnswerPage:
    """List all answers of your tenant that cite a source

    Needs the scope `sources:audit`. Shows the user, the session, the message and its time, but no
    content. The order of users is fixed but has no meaning. The answers of each come latest first.

    The list is read from an index, so a write may take a moment to show. Deleted answers are left
    out after a page is read, so a page may be short or empty while `next_cursor` leads to more.
    """
    return lister.of_tenant(current_caller(), hash, **query)


NEVER_INDEXED = (
    "Messages that were written before the store indexed sources.",
    "Sources of one request after the first 30 (`unindexed` in its response), and of one imported "
    "message after the first 30.",
    "What was written in the moments before the redaction.",
)
WEB_PAGES = (
    "Messages that cite the source as a web page, a place or a tool, because INDEX_SOURCES is not "
    "`all`."
)

RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}


@blp.post("/tenant/sources/<hash>/redaction")
@blp.arguments(IdempotencySchema, location="headers")
@blp.response(200, RedactionSchema)
@blp.alt_response(202, schema=RedactionSchema, headers=RETRY_AFTER, success=True)
@blp.problems(404, 422)
def redact_source(headers: dict[str, str], hash: str) -> Any:
    """Remove what a source says from all messages

    Needs the scope `sources:govern`. This removes quotes, snippets and the text of the source from
    every message of the tenant that cites the source or was given it. It cannot be undone. The
    citations and the answers' own text stay. 202 means that more remains: repeat the request, or
    leave the rest to the sweep. The response says what is not found and what stays.
    """
    caller = current_caller()
    key = key_of(headers.get("idempotency_key"), caller.writer, hash)
    receipt = redactor.redact(caller, hash, key)
    web = () if current_app.extensions["message_store"].web_sources else (WEB_PAGES,)
    body = {
        "hash": hash,
        "started_at": receipt.started_at,
        "finished_at": receipt.finished_at,
        "checked_messages": receipt.checked,
        "redacted_messages": receipt.redacted,
        "never_indexed": [*NEVER_INDEXED, *web],
        "not_removed": list(NOT_REMOVED),
    }
    return (body, 200) if receipt.finished else (body, 202, {"Retry-After": "1"})
