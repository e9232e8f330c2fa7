"""The lists of headers for pages on other origins are exactly what the API reads and sends."""

from typing import Any

import flask
import pytest

from app.http.cors import ACCEPTED_HEADERS, EXPOSED_HEADERS
from tests.deploy.test_permissions import ask_everything
from tests.people import Client, make_token

OURS, ALSO_OURS, THEIRS = "https://a.example", "https://b.example", "https://evil.example"

READ_BY_THE_FRAMEWORK = {
    "Access-Control-Request-Headers",
    "Access-Control-Request-Method",
    "Access-Control-Request-Private-Network",
    "Connection",
    "Content-Length",
    "Host",
    "Origin",
    "Transfer-Encoding",
}
"""A page cannot set these, except Access-Control-Request-Private-Network, which it never needs."""

NOT_FOR_PAGES = {
    "Access-Control-Allow-Headers",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
    "Content-Transfer-Encoding",
    "Vary",
}
"""For the browser itself, and one that `app.lambda_handler` takes away."""

ALWAYS_READABLE = {"Cache-Control", "Content-Length", "Content-Type", "Last-Modified"}
"""https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name"""

ABOUT_ERRORS = {"Accept", "Accept-Encoding", "Allow"}
"""What a developer reads once, when a request was wrong."""

SECURITY = {"Content-Disposition", "Content-Security-Policy", "X-Content-Type-Options"}
"""On values, which another user may have written."""


class Noting(dict[str, Any]):
    """A WSGI environment that notes which headers are looked up."""

    def __init__(self, environ: dict[str, Any], noted: set[str]) -> None:
        super().__init__(environ)
        self.noted = noted

    def _note(self, key: object) -> None:
        name = str(key)
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            self.noted.add(name.removeprefix("HTTP_").replace("_", "-").title())

    def __getitem__(self, key: str) -> Any:
        self._note(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._note(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self._note(key)
        return super().__contains__(key)


@pytest.fixture
def app(make_app: Any) -> flask.Flask:
    app: flask.Flask = make_app(cors_origins=(OURS, ALSO_OURS))
    return app


def watch(app: flask.Flask, read: set[str], sent: set[str]) -> None:
    """Notes the names of the request headers that are looked up, and of the response headers."""
    inner = app.wsgi_app

    def wsgi_app(environ: dict[str, Any], start: Any) -> Any:
        def noting(status: str, headers: Any, *rest: Any) -> Any:
            sent.update(name for name, _ in headers)
            return start(status, headers, *rest)

        return inner(Noting(environ, read), noting)

    app.wsgi_app = wsgi_app  # type: ignore


def lower(names: Any) -> set[str]:
    return {name.lower() for name in names}


def test_the_lists_are_what_the_api_reads_and_sends(app, make_app, clock, table):
    read: set[str] = set()
    sent: set[str] = set()
    without_keys = make_app(jwt_jwks_url="http://127.0.0.1:1/keys")
    limited = make_app(quota_tenant_requests_per_second=1000)
    for each in (app, without_keys, limited):
        watch(each, read, sent)
    scope = "sessions:read sessions:write sessions:import tenant-values:read tenant-values:write"
    scope += " sources:audit sources:govern tenant:usage"
    alice = Client(app, make_token("acme", "alice", scope=scope))
    ask_everything(alice, clock, table)
    ask_what_is_left(app)
    assert Client(without_keys, alice.token).get("/sessions").status_code == 503
    assert Client(limited, alice.token).get("/sessions").status_code == 200
    assert lower(read) - lower(READ_BY_THE_FRAMEWORK) == lower(ACCEPTED_HEADERS)
    hidden = NOT_FOR_PAGES | ALWAYS_READABLE | ABOUT_ERRORS | SECURITY
    assert lower(sent) - lower(hidden) == lower(EXPOSED_HEADERS)


def ask_what_is_left(app: flask.Flask) -> None:
    """Preferences, a preflight, errors of several kinds and bytes."""
    alice = Client(app, make_token("acme", "alice", scope="sessions:read sessions:write"))
    session = alice.create_session()["session_id"]
    said = {"role": "user", "content": "x"}
    path = f"/sessions/{session}/messages"
    prefer = {"Prefer": "return=minimal", "Origin": OURS}
    assert alice.post(path, said, headers=prefer).status_code == 201
    assert Client(app, None).get(path).status_code == 401
    assert preflight(app, OURS, "authorization").status_code == 200
    octets = {"Content-Type": "application/octet-stream", "Value-Type": "image/png"}
    assert alice.request("PUT", "/values/a", data=b"x", headers=octets).status_code == 201
    on_lambda = {"lambda.event": {"path": "/api/v1/values/a"}}
    headers = {"Authorization": f"Bearer {alice.token}", "Accept": "application/octet-stream"}
    client = app.test_client()
    got = client.get("/api/v1/values/a", headers=headers, environ_overrides=on_lambda)
    assert (got.status_code, got.headers["Value-Type"]) == (200, "image/png")
    coded = {"Content-Encoding": "br"}
    assert alice.request("PUT", "/values/a", data=b"x", headers=coded).status_code == 415


def preflight(app: flask.Flask, origin: str, *names: str) -> Any:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ",".join(names),
    }
    return app.test_client().options("/api/v1/sessions", headers=headers)


def test_a_preflight_allows_every_header_of_the_list_and_no_other(app):
    answer = preflight(app, OURS, *lower(ACCEPTED_HEADERS), "x-other")
    allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert set(allowed) == lower(ACCEPTED_HEADERS)


@pytest.mark.parametrize("origin", [OURS, ALSO_OURS])
def test_an_answer_allows_one_origin_and_exposes_the_list(app, origin):
    for answer in (
        Client(app, make_token("acme", "alice")).get("/sessions", headers={"Origin": origin}),
        Client(app, None).get("/sessions", headers={"Origin": origin}),
    ):
        assert answer.headers.getlist("Access-Control-Allow-Origin") == [origin]
        exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert exposed == EXPOSED_HEADERS


@pytest.mark.parametrize("origins", [(OURS,), (OURS, ALSO_OURS)], ids=len)
@pytest.mark.parametrize("origin", [None, OURS, THEIRS])
def test_every_answer_varies_by_origin(make_app, origins, origin):
    """A cache must not give a page what another page, or a program, was answered."""
    app = make_app(cors_origins=origins)
    sent = {"Origin": origin} if origin else {}
    answer = Client(app, make_token("acme", "alice")).get("/sessions", headers=sent)
    assert "Origin" in answer.headers["Vary"].split(", ")
    allowed = answer.headers.getlist("Access-Control-Allow-Origin")
    assert allowed == ([OURS] if origin == OURS else [])
