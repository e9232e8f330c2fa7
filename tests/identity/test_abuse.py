"""Requests made to hurt: too large, too deep, from the wrong page, or to see the inside."""

import http.client
import json
import re
import socket
from importlib.metadata import distributions
from typing import Any
from urllib.parse import urlsplit

import flask
import pytest

from app.config import Config, ConfigError
from app.factory import MAX_BODY
from app.http.strict_json import MAX_DEPTH
from app.table import db
from tests.people import Client, make_token, problem


@pytest.fixture(scope="module")
def table(module_table):
    """One for all tests here: they look at what changed, not at all there is."""
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


def test_a_body_past_the_limit_is_413_before_it_is_parsed(alice, items):
    """It is no JSON, and nobody looked."""
    before = items()
    answer = alice.post("/sessions", data=b"{" * (MAX_BODY + 1))
    problem(answer, 413, "TOO_LARGE")
    assert items() == before


def test_a_body_within_the_limit_is_parsed(alice):
    problem(alice.post("/sessions", data=too_large(MAX_BODY - 100)), 422, "VALIDATION_FAILED")


def test_nobody_gets_401_however_large_the_body(nobody):
    problem(nobody.post("/sessions", data=too_large(MAX_BODY)), 401, "UNAUTHORIZED")


def test_a_body_of_unstated_length_is_cut_off_at_the_limit(address, items):
    """Chunked, without Content-Length: a lie about the length is not needed to send too much."""
    before = items()
    chunk = b" " * 65536
    chunks = (chunk for _ in range(MAX_BODY // len(chunk) + 2))
    status, _, body = over_http(
        address, "POST", "/api/v1/sessions", chunks, Transfer_Encoding="chunked"
    )
    assert (status, json.loads(body)["code"]) == (413, "TOO_LARGE")
    assert items() == before


def test_a_small_body_of_unstated_length_is_taken(address):
    chunks = iter([b'{"domain_id"', b': "d"}'])
    status, _, body = over_http(
        address, "POST", "/api/v1/sessions", chunks, Transfer_Encoding="chunked"
    )
    assert status == 201, body


def test_a_body_that_claims_to_be_too_large_is_not_waited_for(address):
    """The answer comes though not one byte of the body does."""
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
    """So many levels in all, the body's own and metadata's among them."""
    inner = "[" * (levels - 2) + "]" * (levels - 2)
    return f'{{"role":"user","content":"c","metadata":{{"x":{inner}}}}}'.encode()


def test_json_is_taken_to_the_depth_limit_and_no_deeper(alice, items):
    path = f"/sessions/{alice.create_session()['session_id']}/messages"
    assert alice.post(path, data=nested(MAX_DEPTH)).status_code == 201
    before = items()
    for levels in (MAX_DEPTH + 1, 1_000, 100_000):
        problem(alice.post(path, data=nested(levels)), 422, "VALIDATION_FAILED")
    assert items() == before


def test_what_was_nested_to_the_limit_can_be_read_again(alice):
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


def test_by_default_no_page_elsewhere_may_call(app, alice):
    assert cors_headers(preflight(app, OURS)) == set()
    assert cors_headers(alice.get("/sessions", headers={"Origin": OURS})) == set()


def test_a_page_of_a_listed_origin_may_call(make_app):
    app = make_app(cors_origins=(OURS, "https://other.example.com:8443"))
    answer = preflight(app, OURS)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == OURS
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    allowed = answer.headers["Access-Control-Allow-Headers"].lower()
    assert {"authorization", "content-type", "idempotency-key"} <= set(allowed.split(", "))
    assert "Access-Control-Allow-Credentials" not in answer.headers, "no cookies: there are none"
    client = Client(app, make_token("acme", "alice"))
    answer = client.get("/sessions", headers={"Origin": OURS})
    assert answer.headers["Access-Control-Allow-Origin"] == OURS
    assert "Origin" in answer.headers["Vary"]
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"ETag", "Location", "Retry-After", "X-Request-Id"} <= exposed


def test_a_page_of_a_listed_origin_can_read_errors(make_app):
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
def test_a_page_of_any_other_origin_may_not_call(make_app, origin):
    app = make_app(cors_origins=(OURS, "https://other.example.com"))
    assert "Access-Control-Allow-Origin" not in preflight(app, origin).headers
    client = Client(app, make_token("acme", "alice"))
    answer = client.get("/sessions", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json", "/"])
def test_listed_origins_are_let_into_the_api_alone(make_app, path):
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
def test_a_pattern_is_no_origin(origins):
    """flask-cors would read it as a regular expression that need match the beginning only:
    `https://*.example.com` lets `https://aexample.com.evil.example` in."""
    with pytest.raises(ConfigError, match="CORS_ORIGINS"):
        Config(sessions_table="t", jwt_secret="x" * 32, cors_origins=origins)


def test_a_preflight_reads_nothing_and_needs_no_token(make_app, sent):
    app = make_app(cors_origins=(OURS,))
    del sent[:]
    session = preflight(app, OURS, "/api/v1/sessions/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert session.status_code == 200
    assert session.data == b""
    assert sent == []


# What is open

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


@pytest.mark.parametrize(
    "path",
    ["/docs", "/openapi.json", "/docs-assets/swagger-ui.css", "/docs-assets/start.js"],
)
def test_the_documentation_comes_with_security_headers(app, path):
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


# The inside

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
def broken(make_app, client: Any) -> flask.Flask:
    """An app whose table is not there."""
    from app.factory import create_app
    from tests.people import SECRET

    return create_app(
        Config(sessions_table="gone", jwt_secret=SECRET), table=db.Table("gone", client)
    )


@pytest.mark.parametrize(
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
def test_a_fault_inside_says_nothing_of_the_inside(broken, log_lines, method, path, body):
    client = Client(broken, make_token("acme", "alice"))
    answer = client.request(method, path, json=body)
    told = problem(answer, 500, "INTERNAL_ERROR")
    assert told["detail"] == "Something went wrong on our side. The request_id finds it in the log."
    tells_nothing(answer)
    [fault] = [line for line in log_lines if line["level"] == "ERROR"]
    assert fault["request_id"] == told["request_id"]
    assert fault["error_code"] == "ResourceNotFoundException", "the log says what it was"


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
def test_no_answer_tells_of_the_inside(alice, method, path, body, headers, status):
    answer = alice.request(method, path, data=body, headers=headers)
    assert answer.status_code < 500
    assert status is None or answer.status_code == status, answer.text
    if answer.status_code >= 400:
        assert answer.content_type == "application/problem+json"
        assert json.loads(answer.text)["request_id"] == answer.headers["X-Request-Id"]
    assert "<script>" not in str(answer.headers)
    tells_nothing(answer)


def test_a_method_that_is_not_there_says_which_are(alice):
    answer = alice.request("PATCH", "/sessions")
    problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert {"GET", "POST", "DELETE"} <= set(answer.headers["Allow"].split(", "))


def test_answers_name_no_library(alice, nobody, app):
    """Of all that is installed, with its version, none appears in an answer of the API."""
    names = {d.name.lower() for d in distributions()} - {"sessions", "session-store", "attrs"}
    names = {name for name in names if len(name) > 4}
    answers = [alice.get("/nowhere"), alice.get("/sessions"), nobody.get("/sessions")]
    answers.append(app.test_client().get("/health"))
    for answer in answers:
        words = set(re.findall(r"[\w-]+", f"{answer.text} {answer.headers}".lower()))
        assert not words & names


@pytest.mark.parametrize("path", ["/api/v1/nowhere", "/api/v2/sessions", "/api/", "/api/v1/"])
def test_what_is_not_there_is_401_for_nobody_under_api(app, path):
    """So that nobody can map the API."""
    problem(app.test_client().get(path), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("path", ["/nothing", "/nowhere", "/API/v1/sessions", "//api/v1/sessions"])
def test_what_is_not_there_is_404_elsewhere(app, path):
    assert app.test_client().get(path).status_code == 404
