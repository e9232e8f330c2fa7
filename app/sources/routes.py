"""The routes from a source to the answers that cite it."""

from typing import Any

from flask import current_app
from werkzeug.local import LocalProxy

from app.http.api import Blueprint
from app.identity.auth import current_caller
from app.sources.listing import AnswerLister, AnswerPage
from app.sources.schemas import (
    AnswersQuerySchema,
    SourceAnswersSchema,
    TenantSourceAnswersSchema,
)

blp = Blueprint("sources", __name__, description="The sources that answers rest on")

lister: AnswerLister = LocalProxy(lambda: current_app.extensions["answer_lister"])  # type: ignore[assignment]


@blp.get("/sources/<hash>/answers")
@blp.arguments(AnswersQuerySchema, location="query")
@blp.response(200, SourceAnswersSchema)
@blp.problems(404, 422)
def list_source_answers(query: dict[str, Any], hash: str) -> AnswerPage:
    """List your answers that cite a source, latest first

    `hash` is that of a source in a message's grounding. The list is read from an index, so a write
    may take a moment to show. What has been deleted is left out after a page was read, so it may be
    short, or empty, while `next_cursor` leads to more.
    """
    return lister.of_caller(current_caller(), hash, **query)


@blp.get("/tenant/sources/<hash>/answers")
@blp.arguments(AnswersQuerySchema, location="query")
@blp.response(200, TenantSourceAnswersSchema)
@blp.problems(404, 422)
def list_tenant_source_answers(query: dict[str, Any], hash: str) -> AnswerPage:
    """List all answers of your tenant that cite a source

    Needs the scope `sources:audit`. Shows the user, the session, the message and its time, and no
    content. The users come in a fixed order of no meaning, and the answers of each latest first.

    The list is read from an index, so a write may take a moment to show. What has been deleted is
    left out after a page was read, so it may be short, or empty, while `next_cursor` leads to more.
    """
    return lister.of_tenant(current_caller(), hash, **query)
