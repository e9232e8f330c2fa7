"""/tenant/sources/{hash}."""

import flask
from flask import current_app
from werkzeug.local import LocalProxy

from app.http.answers import json_object, json_response
from app.http.api import Blueprint
from app.http.etags import accepted_tags, is_unchanged
from app.http.header_schemas import IfNoneMatchSchema
from app.identity import auth, scopes
from app.identity.auth import current_caller
from app.table.versions import etag
from app.verdicts.answers import verdict_members
from app.verdicts.model import NewVerdict, Verdict
from app.verdicts.schemas import (
    EXAMPLE,
    NewVerdictSchema,
    PutVerdictHeadersSchema,
    VerdictSchema,
)
from app.verdicts.store import VerdictStore

blp = Blueprint(
    "verdicts", __name__, description="What became of the sources that a tenant's answers cite"
)

store: VerdictStore = LocalProxy(lambda: current_app.extensions["verdict_store"])  # type: ignore[assignment]

ETAG = {"ETag": {"schema": {"type": "string"}, "description": "The verdict's version"}}


@blp.get("/tenant/sources/<hash>")
@blp.arguments(IfNoneMatchSchema, location="headers")
@blp.response(200, VerdictSchema, headers=ETAG)
@blp.alt_response(304, description="Not modified", success=True)
@blp.problems(404)
def get_source(headers: dict[str, str], hash: str) -> flask.Response:
    """Show what became of a source

    Needs the scope `sources:govern`, or `sources:audit`, with which the reason is left out. The
    response is 404 if nobody has said anything of the source.
    """
    verdict = store.get(current_caller(), hash)
    known = headers.get("if_none_match")
    if known and is_unchanged(verdict.written, known):
        return flask.Response(status=304, headers={"ETag": etag(verdict.written)})
    return _answer(verdict)


@blp.put("/tenant/sources/<hash>")
@blp.arguments(NewVerdictSchema, example=EXAMPLE)
@blp.arguments(PutVerdictHeadersSchema, location="headers")
@blp.response(200, VerdictSchema, headers=ETAG)
@blp.problems(400, 412, 413, 415, 422)
def put_source(body: dict[str, str], headers: dict[str, str], hash: str) -> flask.Response:
    """Say what became of a source

    Needs the scope `sources:govern`. From then on, the grounding of every answer of the tenant that
    cites the source shows it as `changed`, `withdrawn` or `current`. No message is changed. This
    replaces what was said of the source before.
    """
    verdict = store.put(
        current_caller(),
        hash,
        NewVerdict(**body),
        if_match=accepted_tags(headers.get("if_match")),
        only_new="if_none_match" in headers,
    )
    return _answer(verdict)


def _answer(verdict: Verdict) -> flask.Response:
    members = verdict_members(verdict, with_reason=auth.has(scopes.GOVERN))
    return json_response(json_object(members), headers={"ETag": etag(verdict.written)})
