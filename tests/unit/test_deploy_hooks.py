"""What is checked before an upload, and the wait for a new role."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from deploy import checks, roles

NAME = "session-store-production"


@pytest.fixture
def settings(tmp_path: Any, monkeypatch: Any) -> dict[str, Any]:
    """The stage's settings, with a copy of its policy that may be changed."""
    stages = json.loads((checks.ROOT / "zappa_settings.json").read_text())
    settings: dict[str, Any] = {**stages["base"], **stages["production"]}
    policy = (checks.ROOT / settings["attach_policy"]).read_text()
    (tmp_path / "deploy").mkdir()
    (tmp_path / settings["attach_policy"]).write_text(policy)
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    return settings


ALIASES = {
    "snapstart": {"snap_start": "PublishedVersions"},
    "provisioned-concurrency": {"provisioned_concurrency": 1},
    "mine": {"apigateway_lambda_qualifier": "mine", "snap_start": "PublishedVersions"},
}


def test_the_committed_settings_are_accepted(settings):
    checks.check(settings, NAME)
    checks.check({**settings, "snap_start": "None", "provisioned_concurrency": None}, NAME)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_refused_until_the_policy_allows_it(settings, alias):
    changed = {**settings, **ALIASES[alias]}
    with pytest.raises(SystemExit, match=f"{NAME}:{alias}.*policy-production.json"):
        checks.check(changed, NAME)
    path = checks.ROOT / settings["attach_policy"]
    policy = json.loads(path.read_text())
    [statement] = [s for s in policy["Statement"] if s["Action"] == "lambda:InvokeFunction"]
    own = statement["Resource"]
    for resource, enough in ((f"{own}:other", False), (f"{own}:{alias}", True), (f"{own}:*", True)):
        statement["Resource"] = [own, resource]
        path.write_text(json.dumps(policy))
        if enough:
            checks.check(changed, NAME)
        else:
            with pytest.raises(SystemExit, match=alias):
                checks.check(changed, NAME)


@pytest.mark.parametrize("cors", [True, {"allowed_origin": "https://a.example"}])
def test_zappas_own_cors_is_refused(settings, cors):
    with pytest.raises(SystemExit, match="CORS_ORIGINS"):
        checks.check({**settings, "cors": cors}, NAME)


class Lambda(ThreadingHTTPServer):
    """Refuses functions the first times, as AWS does if their role is new."""

    def __init__(self, refusals: int, message: str) -> None:
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.refusals = refusals
        self.message = message
        self.asked = 0

    class Handler(BaseHTTPRequestHandler):
        server: "Lambda"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.server.asked += 1
            refused = self.server.asked <= self.server.refusals
            self.send_response(400 if refused else 201)
            if refused:
                self.send_header("x-amzn-ErrorType", "InvalidParameterValueException")
            told = {"message": self.server.message} if refused else {"FunctionName": "x"}
            body = json.dumps(told).encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass


@pytest.fixture
def serve() -> Iterator[Any]:
    servers = []

    def start(refusals: int, message: str) -> tuple[Lambda, Any]:
        server = Lambda(refusals, message)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = boto3.client(
            "lambda",
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 0}),
        )
        roles.wait_for_new_roles(client)
        return server, client

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


NEW = "The role defined for the function cannot be assumed by Lambda."


def create(client: Any) -> Any:
    return client.create_function(FunctionName="x", Role="arn:aws:iam::1:role/x", Code={})


def test_a_function_is_created_once_its_new_role_is_known(serve, monkeypatch):
    monkeypatch.setattr(roles, "PAUSE", 0)
    server, client = serve(3, NEW)
    assert create(client)["FunctionName"] == "x"
    assert server.asked == 4


def test_it_gives_up_after_a_minute(serve, monkeypatch):
    assert roles.PAUSE * (roles.ATTEMPTS - 1) == 60
    monkeypatch.setattr(roles, "PAUSE", 0)
    server, client = serve(99, NEW)
    with pytest.raises(ClientError, match="cannot be assumed"):
        create(client)
    assert server.asked == roles.ATTEMPTS


def test_other_errors_are_not_repeated(serve):
    server, client = serve(1, "The runtime parameter of python2.7 is no longer supported")
    with pytest.raises(ClientError, match=r"python2\.7"):
        create(client)
    assert server.asked == 1
