"""Abusive requests: too large, too deep, from a wrong origin, or looking for internals."""

import http.client
import json
import re
import socket
from collections.abc import Callable
from importlib.metadata import distributions
from typing import Any
from urllib.parse import urlsplit

import flask
import pytest

from app.config import Config, ConfigError
from app.http.limits import MAX_BODY
from app.json_rules import MAX_DEPTH
from app.table import db
from tests.people import Client, make_token, problem


@pytest.fixture(scope="module")
def table(module_table):
    """One table for all tests here. They compare what changed, not what the table holds."""
    return module_table


NEW_SESSION = {"domain_id": "d"}


# Bodies


def over_http(
    address: str, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("Authorization", f"Bearer {make_token('acme', 'alice')}")
    chunked = body is not None and not isinstance(body, bytes)
    try:
        connection.request(
            method,
            path,
            body,
            {"Content-Type": "application/json", **named},
            encode_chunked=chunked,
        )
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def too_large(size: int) -> bytes:
    return b'{"domain_id": "d", "title": "' + b"x" * size + b'"}'


def test_a_body_over_the_limit_gets_413_before_it_is_parsed(alice, items):
    """The body is not JSON, but the answer is 413, not 400."""
    before = items()
    answer = alice.post("/sessions", data=b"{" * (MAX_BODY + 1))
    problem(answer, 413, "TOO_LARGE")
    assert items() == before


def test_a_body_within_the_limit_is_parsed(alice):
    problem(alice.post("/sessions", data=too_large(MAX_BODY - 100)), 422, "VALIDATION_FAILED")


def test_a_large_body_without_a_token_gets_401(nobody):
    problem(nobody.post("/sessions", data=too_large(MAX_BODY)), 401, "UNAUTHORIZED")


def test_a_chunked_body_is_cut_off_at_the_limit(address, items):
    """A chunked body has no Content-Length, so its size is known only as it is read."""
    before = items()
    chunk = b" " * 65536
    chunks = (chunk for _ in range(MAX_BODY // len(chunk) + 2))
    status, _, body = over_http(
        address, "POST", "/api/v1/sessions", chunks, Transfer_Encoding="chunked"
    )
    assert (status, json.loads(body)["code"]) == (413, "TOO_LARGE")
    assert items() == before


def test_a_small_chunked_body_is_accepted(address):
    chunks = iter([b'{"domain_id"', b': "d"}'])
    status, _, body = over_http(
        address, "POST", "/api/v1/sessions", chunks, Transfer_Encoding="chunked"
    )
    assert status == 201, body


def test_a_too_large_content_length_is_refused_at_once(address):
    """The answer comes before any byte of the body is sent."""
    parts = urlsplit(address)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=5)
    connection.sendall(
        b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer " + make_token("acme", "alice").encode() + b"\r\n"
        b"Content-Length: 99999999999\r\n\r\n"
    )
    assert b" 413 " in connection.recv(4096).split(b"\r\n")[0]
    connection.close()


def test_two_authorization_headers_through_a_server_are_401(address):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.putrequest("GET", "/api/v1/sessions")
    for user in ("alice", "bob"):
        connection.putheader("Authorization", f"Bearer {make_token('acme', user)}")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_two_act_for_user_headers_through_a_server_are_refused(address):
    scope = "sessions:read sessions:act-for-user"
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.putrequest("GET", "/api/v1/sessions")
    connection.putheader("Authorization", f"Bearer {make_token('acme', 'agent', scope=scope)}")
    for user in ("alice", "bob"):
        connection.putheader("Act-For-User", user)
    connection.endheaders()
    assert connection.getresponse().status == 422
    connection.close()


def nested(levels: int) -> bytes:
    """A message nested this many levels deep, including the levels of the body and metadata."""
    inner = "[" * (levels - 2) + "]" * (levels - 2)
    return f'{{"role":"user","content":"c","metadata":{{"x":{inner}}}}}'.encode()


def test_json_is_accepted_down_to_the_depth_limit(alice, items):
    path = f"/sessions/{alice.create_session()['session_id']}/messages"
    assert alice.post(path, data=nested(MAX_DEPTH)).status_code == 201
    before = items()
    for levels in (MAX_DEPTH + 1, 1_000, 100_000):
        problem(alice.post(path, data=nested(levels)), 422, "VALIDATION_FAILED")
    assert items() == before


def test_a_message_nested_to_the_limit_can_be_read(alice):
    session_id = alice.create_session()["session_id"]
    alice.post(f"/sessions/{session_id}/messages", data=nested(MAX_DEPTH))
    assert alice.get(f"/sessions/{session_id}").json["messages"][0]["content"] == "c"


# Browsers on other origins

OURS, THEIRS = "https://app.example.com", "https://evil.example"


def preflight(app: flask.Flask, origin: str, path: str = "/api/v1/sessions") -> Any:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
    }
    return app.test_client().options(path, headers=headers)


def cors_headers(answer: Any) -> set[str]:
    return {name for name, _ in answer.headers if name.startswith("Access-Control-")}


def test_by_default_no_other_origin_may_call(app, alice):
    assert cors_headers(preflight(app, OURS)) == set()
    assert cors_headers(alice.get("/sessions", headers={"Origin": OURS})) == set()


def test_a_listed_origin_may_call(make_app):
    app = make_app(cors_origins=(OURS, "https://other.example.com:8443"))
    answer = preflight(app, OURS)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == OURS
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    allowed = answer.headers["Access-Control-Allow-Headers"].lower()
    assert {"authorization", "content-type", "idempotency-key"} <= set(allowed.split(", "))
    assert "Access-Control-Allow-Credentials" not in answer.headers, "the API uses no cookies"
    client = Client(app, make_token("acme", "alice"))
    answer = client.get("/sessions", headers={"Origin": OURS})
    assert answer.headers["Access-Control-Allow-Origin"] == OURS
    assert "Origin" in answer.headers["Vary"]
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"ETag", "Location", "Retry-After", "X-Request-Id"} <= exposed


def test_a_listed_origin_can_read_errors(make_app):
    answer = Client(make_app(cors_origins=(OURS,)), None).get("/sessions", headers={"Origin": OURS})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == OURS


@pytest.mark.parametrize(
    "origin",
    [
        THEIRS,
        "null",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evil.example/https://app.example.com",
        "https://appxexample.com",
        "https://xapp.example.com",
        "https://app.example.com\u00e9",
    ],
)
def test_an_unlisted_origin_may_not_call(make_app, origin):
    app = make_app(cors_origins=(OURS, "https://other.example.com"))
    assert "Access-Control-Allow-Origin" not in preflight(app, origin).headers
    client = Client(app, make_token("acme", "alice"))
    answer = client.get("/sessions", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json", "/"])
def test_listed_origins_may_call_only_the_api(make_app, path):
    app = make_app(cors_origins=(OURS,))
    assert "Access-Control-Allow-Origin" not in preflight(app, OURS, path).headers


@pytest.mark.parametrize(
    "origins",
    [
        ("*",),
        (OURS, "*"),
        ("https://*.example.com",),
        (".*",),
        ("https://app.example.com$",),
        ("https://(app|www).example.com",),
        ("https://[a-z].example.com",),
        ("https://app\\.example\\.com",),
    ],
    ids=str,
)
def test_a_pattern_is_refused_as_an_origin(origins):
    """flask-cors would treat it as a regular expression and match only the beginning. Then
    `https://*.example.com` would also allow `https://aexample.com.evil.example`."""
    with pytest.raises(ConfigError, match="CORS_ORIGINS"):
        Config(sessions_table="none", jwt_secret="x" * 32, cors_origins=origins)


def test_a_preflight_reads_nothing_and_needs_no_token(make_app, sent):
    app = make_app(cors_origins=(OURS,))
    del sent[:]
    session = preflight(app, OURS, "/api/v1/sessions/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert session.status_code == 200
    assert session.data == b""
    assert sent == []


# Routes without a token

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


@pytest.mark.parametrize(
    "path",
    ["/docs", "/openapi.json", "/docs-assets/swagger-ui.css", "/docs-assets/start.js"],
)
def test_the_documentation_has_security_headers(app, path):
    answer = app.test_client().get(path)
    assert answer.status_code == 200
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    answer.close()


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/docs-assets/start.js"])
def test_the_documentation_is_off_by_default(make_app, path):
    app = make_app(docs_enabled=False)
    problem(app.test_client().get(path), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "name",
    [
        "../docs.py",
        "..%2f..%2fdocs.py",
        "%2e%2e/__init__.py",
        "index.html",
        "/etc/passwd",
        "x\0.js",
    ],
)
def test_no_other_file_is_served(app, name):
    answer = app.test_client().get(f"/docs-assets/{name}")
    assert answer.status_code == 404
    assert b"import" not in answer.data


# Internals

INSIDE = re.compile(
    r"traceback|\.py\b|site-packages|/work/|file \"|exception|botocore|boto3|dynamodb|flask"
    r"|werkzeug|marshmallow|webargs|pyjwt|python|resourcenotfound|arn:|127\.0\.0\.1|localhost",
    re.IGNORECASE,
)


def tells_nothing(answer: Any) -> None:
    for text in (answer.text, str(answer.headers)):
        assert not INSIDE.search(text), text
    assert "Server" not in answer.headers


@pytest.fixture
def app_over(client: Any) -> Callable[[str], flask.Flask]:
    """An app over a table of any name."""
    from app.factory import create_app
    from tests.people import SECRET

    def over(name: str) -> flask.Flask:
        config = Config(sessions_table="none", jwt_secret=SECRET)
        return create_app(config, table=db.Table(name, client))

    return over


every_route = pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/sessions", NEW_SESSION),
        ("GET", "/sessions", None),
        ("GET", "/sessions/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV", None),
        ("PUT", "/sessions/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV", {"title": "t"}),
        ("DELETE", "/sessions/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV", None),
        ("DELETE", "/sessions?confirm=all", None),
        (
            "POST",
            "/sessions/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV/messages",
            {"role": "user", "content": "c"},
        ),
    ],
)


@every_route
def test_an_internal_error_reveals_no_internals(app_over, logged, method, path, body):
    """The error here: a table name that DynamoDB does not accept."""
    client = Client(app_over("not a name"), make_token("acme", "alice"))
    answer = client.request(method, path, json=body)
    told = problem(answer, 500, "INTERNAL_ERROR")
    assert told["detail"] == "Something went wrong on our side. Look for the request_id in the log."
    tells_nothing(answer)
    [fault] = [line for line in logged if line["level"] == "ERROR"]
    assert fault["request_id"] == told["request_id"]
    assert fault["error_code"] == "ValidationException", "the log names the error"


@every_route
def test_a_missing_table_reveals_no_internals(app_over, logged, method, path, body):
    client = Client(app_over("gone"), make_token("acme", "alice"))
    answer = client.request(method, path, json=body)
    problem(answer, 503, "STORE_UNAVAILABLE")
    tells_nothing(answer)
    [line] = [line for line in logged if line["message"] == "request"]
    assert line["db_failure"] == "ResourceNotFoundException", "the log names the error"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/nowhere", None, {}, 404),
        ("PATCH", "/sessions", None, {}, 405),
        ("TRACE", "/sessions", None, {}, 405),
        ("BREW", "/sessions", None, {}, 405),
        ("GET", "/sessions/", None, {}, None),
        ("GET", "/sessions//messages", None, {}, None),
        ("GET", "/sessions/%00", None, {}, 404),
        ("GET", "/sessions/..%2f..%2fhealth", None, {}, 404),
        ("POST", "/sessions", b"{", {}, 400),
        ("POST", "/sessions", b"\xff", {}, 400),
        ("POST", "/sessions", b"[1, NaN]", {}, 400),
        ("POST", "/sessions", b"", {}, 400),
        ("POST", "/sessions", b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("POST", "/sessions", b"<a/>", {"Content-Type": "application/xml"}, 415),
        ("POST", "/sessions", b'{"domain_id": 1e400}', {}, 422),
        ("GET", "/sessions?limit=%ff", None, {}, 422),
        ("GET", "/sessions?page=1&page=2", None, {}, None),
        ("GET", "/sessions", None, {"Accept": "text/html"}, 200),
        ("GET", "/sessions", None, {"X-Request-Id": "<script>alert(1)</script>"}, 200),
        ("GET", "/sessions", None, {"X-Request-Id": "x" * 5000}, 200),
        ("GET", "/sessions", None, {"Range": "bytes=0-1"}, 200),
        ("GET", "/sessions", None, {"X-HTTP-Method-Override": "DELETE"}, 200),
    ],
)
def test_no_answer_reveals_internals(alice, method, path, body, headers, status):
    answer = alice.request(method, path, data=body, headers=headers)
    assert answer.status_code < 500
    assert status is None or answer.status_code == status, answer.text
    if answer.status_code >= 400:
        assert answer.content_type == "application/problem+json"
        assert json.loads(answer.text)["request_id"] == answer.headers["X-Request-Id"]
    assert "<script>" not in str(answer.headers)
    tells_nothing(answer)


def test_an_unsupported_method_lists_the_allowed_ones(alice):
    answer = alice.request("PATCH", "/sessions")
    problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert {"GET", "POST", "DELETE"} <= set(answer.headers["Allow"].split(", "))


def test_answers_name_no_library(alice, nobody, app):
    """No installed distribution is named in an answer of the API."""
    names = {d.name.lower() for d in distributions()} - {"sessions", "session-store", "attrs"}
    names = {name for name in names if len(name) > 4}
    answers = [alice.get("/nowhere"), alice.get("/sessions"), nobody.get("/sessions")]
    answers.append(app.test_client().get("/health"))
    for answer in answers:
        words = set(re.findall(r"[\w-]+", f"{answer.text} {answer.headers}".lower()))
        assert not words & names


@pytest.mark.parametrize("path", ["/api/v1/nowhere", "/api/v2/sessions", "/api/", "/api/v1/"])
def test_an_unknown_api_path_gets_401_without_a_token(app, path):
    """Otherwise, anybody could find out which routes exist."""
    problem(app.test_client().get(path), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("path", ["/nothing", "/nowhere", "/API/v1/sessions", "//api/v1/sessions"])
def test_an_unknown_path_elsewhere_gets_404(app, path):
    assert app.test_client().get(path).status_code == 404
