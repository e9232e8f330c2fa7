"""`production` called by web pages on other origins, in a real browser, with the authorizer.

MiniStack calls the authorizer, throttles, and answers with the gateway responses of the stage's
last deployment. ministack_like_aws.py adds the limit of a request. The pages are on http, because
the emulator is. The file is over 250 lines, because all tests share one deployment and one browser.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.identity.tokens import LEEWAY
from tests.browser import Page, open_page
from tests.deploy.emulator import Emulator, Project, Stage
from tests.deploy.issuer import Issuer

APP, ADMIN, THEIRS = "http://app.example", "http://admin.example", "http://evil.example"
SESSIONS = "/api/v1/sessions"

ASK = """
async function ask(method, address, token, size, headers = {}) {
  if (token) headers.Authorization = `Bearer ${token}`;
  const body = size ? JSON.stringify({domain_id: "d", metadata: {x: "x".repeat(size)}}) : undefined;
  if (body) headers["Content-Type"] = "application/json";
  try {
    const answer = await fetch(address, {method, headers, body});
    const told = Object.fromEntries(answer.headers);
    return {status: answer.status, headers: told, body: await answer.json()};
  } catch (error) {
    return {error: error.name};
  }
}
"""


class Pages(BaseHTTPRequestHandler):
    """An empty page on every origin."""

    def do_GET(self) -> None:
        page = f"<!doctype html><title>Page</title><script>{ASK}</script>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def stage(project: Project, emulator: Emulator) -> Stage:
    project.set("production", aws_environment_variables={"CORS_ORIGINS": f"{APP}, {ADMIN}"})
    environment = project.settings("production")["aws_environment_variables"]
    create = (sys.executable, "-m", "flask", "--app", "app.wsgi", "table", "create")
    project.run(*create, **environment)
    project.zappa("deploy", "production")
    return Stage(emulator, "production")


@pytest.fixture(scope="module")
def page(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pages = f"127.0.0.1:{server.server_port}"
    names = {origin.removeprefix("http://"): pages for origin in (APP, ADMIN, THEIRS)}
    names[stage.host] = f"127.0.0.1:{stage.emulator.port}"
    try:
        with open_page(tmp_path_factory.mktemp("browser"), names=names) as page:
            yield page
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def ask(page: Page, stage: Stage) -> Any:
    """Sends a request from a page on an origin. Returns what its JavaScript can read."""

    def ask(
        method: str,
        path: str,
        token: str | None = None,
        *,
        size: int = 0,
        origin: str = APP,
        **headers: str,
    ) -> Any:
        if page.evaluate("location.origin") != origin:
            page.go(f"{origin}/")
            page.wait_for(f"location.origin == '{origin}' && typeof ask == 'function'")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        address = f"http://{stage.host}/production{path}"
        arguments = json.dumps([method, address, token, size, sent])
        return page.evaluate(f"ask(...{arguments})")

    return ask


@pytest.fixture
def alice(issuer: Issuer) -> str:
    return issuer.token("acme", "alice")


NOT_READABLE = {"error": "TypeError"}
"""What `fetch` makes of an answer that it hides, and of a preflight that fails."""


@pytest.mark.parametrize("origin", [APP, ADMIN])
def test_a_page_on_each_listed_origin_can_use_the_api(ask, alice, origin):
    created = ask("POST", SESSIONS, alice, size=1, origin=origin, Idempotency_Key=origin)
    assert created["status"] == 201, created
    assert created["headers"]["etag"]
    assert created["headers"]["location"]
    path = f"{SESSIONS}/{created['body']['session_id']}"
    got = ask("GET", path, alice, origin=origin, X_Request_Id="mine")
    assert (got["status"], got["body"]["messages"]) == (200, [])
    assert got["headers"]["x-request-id"] == "mine"
    etag = got["headers"]["etag"]
    assert ask("DELETE", path, alice, origin=origin, If_Match='"0"')["status"] == 412
    assert ask("DELETE", path, alice, origin=origin, If_Match=etag)["status"] == 200


def test_a_page_elsewhere_cannot(ask, alice):
    assert ask("GET", SESSIONS, alice, origin=THEIRS) == NOT_READABLE
    assert ask("POST", SESSIONS, alice, size=1, origin=THEIRS) == NOT_READABLE
    # Without a preflight. A program could read that as well: it holds nothing.
    assert ask("GET", SESSIONS, origin=THEIRS)["status"] == 401


def expect_problem(answer: Any, status: int, code: str) -> Any:
    assert answer["status"] == status, answer
    told, headers = answer["body"], answer["headers"]
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "no-store"
    assert (told["status"], told["code"]) == (status, code)
    assert told["type"] == f"urn:problem-type:{code.lower().replace('_', '-')}"
    assert told["title"] and told["detail"] and told["errors"] == []
    assert told["request_id"] == headers["x-request-id"]
    return headers


@pytest.mark.parametrize("origin", [APP, ADMIN])
@pytest.mark.parametrize("fault", ["missing", "nonsense", "expired", "foreign"])
def test_a_page_can_read_why_its_token_is_refused(ask, issuer, fault, origin):
    token = {
        "missing": None,
        "nonsense": "nonsense",
        "expired": issuer.token("acme", "alice", exp=int(time.time()) - 3600),
        "foreign": Issuer().token("acme", "alice"),
    }[fault]
    headers = expect_problem(ask("GET", SESSIONS, token, origin=origin), 401, "UNAUTHORIZED")
    assert headers["www-authenticate"].startswith("Bearer ")
    assert headers["should-retry"] == "false"


def test_a_page_can_read_that_a_token_expired_while_the_gateway_still_caches_it(ask, issuer):
    expires = int(time.time()) + 15
    token = issuer.token("acme", "alice", exp=expires - LEEWAY)
    assert ask("GET", SESSIONS, token)["status"] == 200
    time.sleep(expires + 1 - time.time())
    # The app's own answer. AWS would give its WWW-Authenticate another name.
    headers = expect_problem(ask("GET", SESSIONS, token), 401, "UNAUTHORIZED")
    assert "invalid_token" in headers["www-authenticate"]


def test_a_page_can_read_what_its_token_does_not_allow(ask, issuer):
    token = issuer.token("acme", "alice", scope="sessions:read")
    expect_problem(ask("POST", SESSIONS, token, size=1), 403, "INSUFFICIENT_SCOPE")


@pytest.mark.parametrize("size", [6_250_000, 10_500_000], ids=["app", "gateway"])
def test_a_page_can_read_that_its_body_is_too_large(ask, alice, size):
    """The app refuses what Lambda can carry, and the gateway what it cannot carry itself."""
    headers = expect_problem(ask("POST", SESSIONS, alice, size=size), 413, "TOO_LARGE")
    assert headers["should-retry"] == "false"


@contextmanager
def patched_stage(stage: Stage, **settings: str) -> Iterator[None]:
    """The stage with other settings for all methods but OPTIONS."""
    gateway = stage.emulator.client("apigateway")
    api = {"restApiId": stage.api, "stageName": stage.name}
    for method in ("ANY", "GET"):
        operations = [
            {
                "op": "replace",
                "path": f"/~1{{proxy+}}/{method}/throttling/{name}",
                "value": value,
            }
            for name, value in settings.items()
        ]
        gateway.update_stage(**api, patchOperations=operations)
    try:
        yield
    finally:
        for method in ("ANY", "GET"):
            remove = {"op": "remove", "path": f"/~1{{proxy+}}/{method}"}
            gateway.update_stage(**api, patchOperations=[remove])


@pytest.mark.parametrize("origin", [APP, ADMIN])
def test_a_page_can_read_that_it_is_throttled(stage, ask, alice, origin):
    ask("GET", SESSIONS, alice, origin=origin)  # the preflight is remembered
    with patched_stage(stage, rateLimit="0", burstLimit="0"):
        answer = ask("GET", SESSIONS, alice, origin=origin)
    headers = expect_problem(answer, 429, "TOO_MANY_REQUESTS")
    assert (headers["retry-after"], headers["should-retry"]) == ("1", "true")
    assert ask("GET", SESSIONS, alice, origin=origin)["status"] == 200


@contextmanager
def variables(stage: Stage, **changed: str) -> Iterator[None]:
    functions = stage.emulator.client("lambda")
    found = functions.get_function_configuration(FunctionName=stage.function)
    present = found["Environment"]["Variables"]
    for told in ({**present, **changed}, present):
        functions.update_function_configuration(
            FunctionName=stage.function, Environment={"Variables": told}
        )
        if told is not present:
            yield


@pytest.mark.parametrize("origin", [APP, ADMIN])
def test_a_page_can_read_what_was_used_and_that_it_is_too_much(stage, ask, issuer, origin):
    """The app's own 429, which is another than the gateway's."""
    admin = issuer.token(origin, "admin", scope="sessions:read tenant:usage")
    with variables(stage, QUOTA_TENANT_REQUESTS_PER_SECOND="0.1"):
        answers = [ask("GET", SESSIONS, admin, origin=origin) for _ in range(4)]
        usage = ask("GET", "/api/v1/tenant/usage", admin, origin=origin)
    assert [answer["status"] for answer in answers] == [200, 429, 429, 429]
    refused = answers[-1]
    assert (refused["body"]["code"], refused["headers"]["should-retry"]) == (
        "RATE_EXCEEDED",
        "true",
    )
    assert refused["body"]["violated_policies"] == ["tenant"]
    assert 0 < int(refused["headers"]["retry-after"]) <= 10
    assert refused["headers"]["ratelimit"].startswith('"tenant";r=0;t=')
    assert (usage["status"], usage["body"]["is_counted"]) == (200, True)
    assert usage["headers"]["ratelimit-policy"].startswith('"tenant";')


def test_a_page_cannot_read_ready_which_is_for_monitors(ask, alice):
    """Only what is under /api has CORS headers."""
    assert ask("GET", "/ready", alice) == NOT_READABLE


def test_a_page_can_read_that_the_issuers_keys_are_not_there(stage, ask, issuer):
    """The authorizer fails. The preflight is remembered, or answered without any key."""
    with variables(stage, JWT_JWKS_URL="http://127.0.0.1:1/keys"):
        answer = ask("GET", SESSIONS, issuer.token("acme", "somebody new"))
    headers = expect_problem(answer, 503, "STORE_UNAVAILABLE")
    assert (headers["retry-after"], headers["should-retry"]) == ("30", "true")


def test_a_page_can_read_that_the_gateway_cannot_call_the_function(stage, ask, alice):
    """The integration names a function that does not exist."""
    gateway = stage.emulator.client("apigateway")
    method = next(
        {"restApiId": stage.api, "resourceId": resource["id"], "httpMethod": "ANY"}
        for resource in gateway.get_resources(restApiId=stage.api)["items"]
        if resource["path"] == "/{proxy+}"
    )
    uri = gateway.get_integration(**method)["uri"]
    ask("GET", SESSIONS, alice)
    for told in (uri.replace(stage.function, "gone"), uri):
        patch = {"op": "replace", "path": "/uri", "value": told}
        gateway.update_integration(**method, patchOperations=[patch])
        if told != uri:
            answer = ask("GET", SESSIONS, alice)
    expect_problem(answer, 500, "INTERNAL_ERROR")
    assert ask("GET", SESSIONS, alice)["status"] == 200


def test_a_preflight_needs_no_token_and_everything_else_does(stage):
    preflight = {
        "Origin": ADMIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,if-match,idempotency-key",
    }
    for path in (SESSIONS, f"{SESSIONS}/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        answer = stage.request("OPTIONS", path, headers=preflight)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == ADMIN
        assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
        assert "Origin" in answer.headers["Vary"]
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"):
            assert stage.request(method, path, headers={"Origin": ADMIN}).status_code == 401
    theirs = stage.request("OPTIONS", SESSIONS, headers={**preflight, "Origin": THEIRS})
    assert "Access-Control-Allow-Origin" not in theirs.headers


def test_an_update_puts_back_what_is_missing_and_then_changes_nothing(
    stage, project, emulator, page, ask, alice
):
    gateway = emulator.client("apigateway")
    api = {"restApiId": stage.api}
    for resource in gateway.get_resources(**api)["items"]:
        gateway.delete_method(**api, resourceId=resource["id"], httpMethod="OPTIONS")
    for kind in ("UNAUTHORIZED", "THROTTLED"):
        gateway.delete_gateway_response(**api, responseType=kind)
    gateway.create_deployment(**api, stageName="production")
    page.send("Network.clearBrowserCache")  # it holds preflights
    page.go("about:blank")
    # So it was without this setup: the authorizer refuses preflights, and hides its reasons.
    assert stage.request("OPTIONS", SESSIONS).status_code == 401
    assert ask("PUT", SESSIONS, alice) == NOT_READABLE

    def deployments() -> int:
        return len(gateway.get_deployments(**api)["items"])

    before = deployments()
    printed = project.run("./scripts/deploy", "production", TOKEN=alice)
    assert "API Gateway: OPTIONS /{proxy+} needs no token." in printed
    assert f"2 of its own answers are problems, readable from {APP}, {ADMIN}." in printed
    assert deployments() == before + 2  # Zappa's, then ours
    assert ask("GET", SESSIONS, alice)["status"] == 200
    expect_problem(ask("GET", SESSIONS), 401, "UNAUTHORIZED")

    printed = project.zappa("update", "production")
    assert "OPTIONS" not in printed
    assert "own answers" not in printed


def test_the_smoke_test_fails_if_a_listed_origin_cannot_call(stage, project):
    smoke = (sys.executable, "-m", "deploy.stage", "production", "smoke")
    with variables(stage, CORS_ORIGINS=APP):
        printed = project.run(*smoke, fails=True)
    assert f"A page on {ADMIN} cannot call" in printed


def test_undeploying_removes_the_api_with_all_of_this(stage, project, emulator):
    project.zappa("undeploy", "-y", "production")
    assert emulator.client("apigateway").get_rest_apis()["items"] == []
