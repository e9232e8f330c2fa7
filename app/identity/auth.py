"""The check before every view: the token, the scopes, and the user to act for."""

from urllib.parse import unquote_to_bytes

import flask

from app.errors import Forbidden, Unauthorized, ValidationFailed
from app.identity.caller import Caller, NotACaller
from app.identity.tokens import Identity, Verifier

READ, WRITE, ACT_FOR_USER = "sessions:read", "sessions:write", "sessions:act-for-user"

IMPORT = "sessions:import"

TENANT_READ, TENANT_WRITE = "tenant-values:read", "tenant-values:write"
"""For the values of a whole tenant. A token needs these instead of the usual ones."""

AUDIT, GOVERN = "sources:audit", "sources:govern"
"""For listing the answers of all users that cite a source, and for saying what became of a source.
A token needs one of these instead of the usual ones."""

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

NEVER_IMPLIED = {"sessions.import_session": IMPORT}
"""Endpoints that need one more scope, which no token has without saying so."""

ACT_FOR_USER_HEADER = "Act-For-User"

OPEN_ENDPOINTS = frozenset(
    {
        "meta.get_health",
        "landing.get_landing",
        "docs.get_docs",
        "docs.redirect_to_docs",
        "docs.get_docs_asset",
        "docs.get_openapi",
        "dev_tokens.create_token",
    }
)
"""Endpoints that need no token. All others need one."""


def init_app(app: flask.Flask, verifier: Verifier, *, require_scopes: bool = False) -> None:
    """With `require_scopes`, a token without an authorisation claim gives no access."""

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
        flask.g.scopes = granted(identity, require_scopes=require_scopes)
        flask.g.caller = authorize(
            identity,
            _scope_of(request),
            NEVER_IMPLIED.get(str(request.endpoint)),
            request.headers.get(ACT_FOR_USER_HEADER),
            require_scopes=require_scopes,
        )


def _scope_of(request: flask.Request) -> str:
    reads = request.method in ("GET", "HEAD")
    if request.endpoint in TENANT_ENDPOINTS:
        return TENANT_READ if reads else TENANT_WRITE
    if request.endpoint == "sources.list_tenant_source_answers":
        return AUDIT
    if request.endpoint in ("verdicts.put_source", "sources.redact_source"):
        return GOVERN
    if request.endpoint == "verdicts.get_source":  # shown to those who can write it, too
        return GOVERN if has(GOVERN) else AUDIT
    return READ if reads else WRITE


def granted(identity: Identity, *, require_scopes: bool = False) -> frozenset[str]:
    """The scopes of a token. Without an authorisation claim, it may read and write sessions, unless
    `require_scopes` is set."""
    if identity.scopes is None:
        return frozenset() if require_scopes else frozenset({READ, WRITE})
    return identity.scopes


def has(scope: str) -> bool:
    """Whether the token of this request has the scope."""
    return scope in flask.g.scopes


def require(scope: str) -> None:
    """For requests that need one more scope only in some cases.

    Raises:
        Forbidden: the token lacks it.
    """
    if not has(scope):
        raise Forbidden(scope)


def authorize(
    identity: Identity,
    scope: str,
    also: str | None = None,
    act_for: str | None = None,
    *,
    require_scopes: bool = False,
) -> Caller:
    """The caller of a request that needs `scope`, and `also` if it is given. With `act_for`, the
    caller acts for that user.

    A token without an authorisation claim may never import sessions, use the values of its tenant,
    audit or govern its sources, or act for another user.

    Raises:
        Forbidden: a scope is missing.
        ValidationFailed: `act_for` is not a valid user id.
    """
    scopes = granted(identity, require_scopes=require_scopes)
    for needed in (scope, also, ACT_FOR_USER if act_for is not None else None):
        if needed and needed not in scopes:
            raise Forbidden(needed)
    if act_for is None:
        return identity.caller
    agent = identity.caller.agent or identity.caller.user
    try:
        if "," in act_for:
            raise NotACaller("several headers are joined with a comma")
        user = unquote_to_bytes(act_for.encode("latin-1")).decode()
        return Caller(identity.caller.tenant, user, agent)
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
