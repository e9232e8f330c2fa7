"""Logs one line for each request that reaches beyond the caller's own data: who did what, for whom,
and with which status.

These are requests that act for a user, and those that need a scope which a token has only if it
lists it (`app.identity.auth`). A request that was refused or failed has its line, too. One whose
token was invalid has none, because nobody knows who sent it.
"""

import re
from typing import Any

import flask

from app.errors import ValidationFailed
from app.http.request_log import request_id
from app.identity import auth, scopes
from app.logs import log_always
from app.table import ids, keys

_HASH = re.compile(r"[0-9a-f]{32}")

_CREATED = re.compile(rf"{ids.SESSION_PREFIX}[0-9A-Z]{{26}}")


def init_app(app: flask.Flask) -> None:
    @app.after_request
    def tell(response: flask.Response) -> flask.Response:
        if used := flask.g.get("audited"):
            log_always("audit", _fields(response, sorted(used)))
        return response


def _fields(response: flask.Response, used: list[str]) -> dict[str, Any]:
    """The members of the line. `tests/log_watch.py` must list each of them."""
    request, caller = flask.request, flask.g.identity.caller
    named = request.view_args or {}
    return {
        "request_id": request_id(),
        "method": request.method,
        "operation": str(request.endpoint),
        "scopes": used,
        "status": response.status_code,
        "tenant": caller.tenant,
        "token_user": caller.user,
        "token_agent": caller.agent,
        "for_user": _for_user(),
        # Only well-formed ids, because anything else could be a user's text.
        "session_id": _session_id(named, response),
        "message_id": _id(ids.MESSAGE_PREFIX, named.get("message_id")),
        "source": _source(named.get("hash")),
        "value": keys.name_hash(named["name"]) if "name" in named else None,
    }


def _for_user() -> str | None:
    """The user in the header. Without the scope it is only somebody's text, and is not quoted."""
    header = flask.request.headers.get(auth.ACT_FOR_USER_HEADER)
    if header is None or scopes.ACT_FOR_USER not in flask.g.scopes:
        return None
    try:
        return auth.acting_for(flask.g.identity.caller, header).user
    except ValidationFailed:
        return None


def _session_id(named: dict[str, Any], response: flask.Response) -> str | None:
    """The session in the path, or else the one that was created."""
    if "session_id" in named:
        return _id(ids.SESSION_PREFIX, named["session_id"])
    created = _CREATED.search(response.headers.get("Location", ""))
    return created[0] if created else None


def _source(sent: Any) -> str | None:
    return str(sent) if sent and _HASH.fullmatch(str(sent)) else None


def _id(prefix: str, sent: Any) -> str | None:
    return str(sent) if sent and ids.parse(prefix, str(sent)) else None
