"""The check before every view: the token, the scopes, and the user to act for."""

import re
from urllib.parse import unquote_to_bytes

import flask

from app.errors import Forbidden, Unauthorized, ValidationFailed
from app.identity.caller import Caller, NotACaller
from app.identity.scopes import (
    ACT_FOR_USER,
    AUDIT,
    GOVERN,
    IMPORT,
    READ,
    TENANT_READ,
    TENANT_USAGE,
    TENANT_WRITE,
    WRITE,
)
from app.identity.tokens import Identity, Verifier

TENANT_ENDPOINTS = frozenset(
    f"values.{view}"
    for view in (
        "get_tenant_value",
        "put_tenant_value",
        "patch_tenant_value",
        "delete_tenant_value",
        "list_tenant_values",
        "delete_tenant_values",
        "batch_tenant_values",
    )
)

OWN_SCOPES = {
    "usage.get_tenant_usage": TENANT_USAGE,
    "sources.list_tenant_source_answers": AUDIT,
    "sources.redact_source": GOVERN,
    "verdicts.put_source": GOVERN,
}
"""Endpoints that need a scope of their own instead of the usual ones."""

NEVER_IMPLIED = {"sessions.import_session": IMPORT}
"""Endpoints that need one more scope, which a token has only if it lists it."""

ACT_FOR_USER_HEADER = "Act-For-User"

_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.")

OPEN_ENDPOINTS = frozenset(
    {
        "meta.get_health",
        "meta.get_ready",
        "landing.get_landing",
        "docs.get_docs",
        "docs.redirect_to_docs",
        "docs.get_docs_asset",
        "docs.get_openapi",
        "dev_tokens.create_token",
    }
)
"""Endpoints that need no token. All others need one."""


def init_app(app: flask.Flask, verifier: Verifier) -> None:
    @app.before_request
    def authenticate() -> None:
        request = flask.request
        rule = request.url_rule
        unknown = rule is None and not request.path.startswith("/api/")
        answered_by_flask = rule is None or getattr(rule, "provide_automatic_options", False)
        preflight = request.method == "OPTIONS" and answered_by_flask  # reaches no view
        if request.endpoint in OPEN_ENDPOINTS or unknown or preflight:
            return
        try:
            identity = verifier.verify(request.headers.get("Authorization"))
        except Unauthorized as refusal:
            flask.g.refused = refusal.reason  # only for the log
            raise
        flask.g.caller = identity.caller  # for the log, if the request is refused below
        flask.g.identity = identity
        flask.g.scopes = identity.scopes
        scope, also = _scope_of(request), NEVER_IMPLIED.get(str(request.endpoint))
        act_for = request.headers.get(ACT_FOR_USER_HEADER)
        flask.g.audited = set()
        _note(scope, also, None if act_for is None else ACT_FOR_USER)
        flask.g.caller = authorize(identity, scope, also, act_for)


def _note(*scopes: str | None) -> None:
    """For `app.identity.audit`, which writes a line about each use of these."""
    flask.g.audited |= {scope for scope in scopes if scope} - {READ, WRITE}


def _scope_of(request: flask.Request) -> str:
    reads = request.method in ("GET", "HEAD")
    endpoint = request.endpoint
    if endpoint in OWN_SCOPES:
        return OWN_SCOPES[endpoint]
    if endpoint in TENANT_ENDPOINTS:
        return TENANT_READ if reads else TENANT_WRITE
    if endpoint == "verdicts.get_source":  # shown to those who can write it, too
        return GOVERN if has(GOVERN) else AUDIT
    return READ if reads else WRITE


def has(scope: str) -> bool:
    """Whether the token of this request has the scope."""
    return scope in flask.g.scopes


def require(scope: str) -> None:
    """For requests that need one more scope only in some cases.

    Raises:
        Forbidden: the token lacks it.
    """
    _note(scope)
    if not has(scope):
        raise Forbidden(scope)


def authorize(
    identity: Identity, scope: str, also: str | None = None, act_for: str | None = None
) -> Caller:
    """The caller of a request that needs `scope`, and `also` if it is given. With `act_for`, the
    caller acts for that user.

    Raises:
        Forbidden: a scope is missing.
        ValidationFailed: `act_for` is not a valid user id.
    """
    for needed in (scope, also, ACT_FOR_USER if act_for is not None else None):
        if needed and needed not in identity.scopes:
            raise Forbidden(needed)
    return identity.caller if act_for is None else acting_for(identity.caller, act_for)


def acting_for(caller: Caller, header: str) -> Caller:
    """The caller as an agent for the user that the header names.

    Raises:
        ValidationFailed: it is not a valid user id.
    """
    try:
        if "," in header:
            raise NotACaller("several headers are joined with a comma")
        if _TOKEN.match(header):
            raise NotACaller("a token in the wrong header; the log would hold it as a user's id")
        user = unquote_to_bytes(header.encode("latin-1")).decode()
        return Caller(caller.tenant, user, caller.writer)
    except (NotACaller, UnicodeError):
        raise ValidationFailed(
            [
                {
                    "location": "headers",
                    "field": ACT_FOR_USER_HEADER,
                    "message": "Not a valid user id. Send one as percent-encoded UTF-8, without "
                    "control characters or white space around it.",
                }
            ]
        ) from None


def current_caller() -> Caller:
    caller: Caller = flask.g.caller
    return caller
