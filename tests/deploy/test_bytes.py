"""Values with bytes, from the client to the table and back, deployed by Zappa.

Whose behaviour is tested:

- Through MiniStack's API Gateway: which bodies become base64 in the event, and which answers become
  bytes again. It does that for binary types as AWS was found to do
  (https://github.com/ministackorg/ministack/pull/767), except that it takes `Accept` as a whole,
  where AWS looks at its first type.
- By events, without a gateway: what Zappa, `app.lambda_handler` and the app make of AWS's events.
  AWS passes on the path as it was sent (https://github.com/hotsock/voker/pull/8 has captures), but
  MiniStack decodes it, so a name with `%` in it only arrives by events.

MiniStack also keeps the patch of `deploy/gateway.py` as it stands, without reading it as a JSON
pointer, so the fixture `gateway` sets the type once more. tests/unit/test_gateway_hook.py has the
patch.
"""

import base64
import json
import os
import sys
from typing import Any
from urllib.parse import quote

import pytest

from tests.deploy.emulator import Emulator, Project, Stage
from tests.people import SECRET, make_token

OCTETS = "application/octet-stream"
VALUES = "/api/v1/values"
EVERY_BYTE = bytes(range(256))
LARGE = 3_000_000
"""MiniStack's DynamoDB counts the base64 of a transaction, AWS's and DynamoDB Local the bytes.
tests/unit/test_lambda_bytes.py has the largest value."""


@pytest.fixture(scope="module")
def deployed(project: Project) -> str:
    project.set("dev", s3_bucket="deployments", aws_environment_variables={"JWT_SECRET": SECRET})
    environment = project.settings("dev")["aws_environment_variables"]
    create = (sys.executable, "-m", "flask", "--app", "app.wsgi", "table", "create")
    return project.run(*create, **environment) + project.zappa("deploy", "dev")


@pytest.fixture(scope="module")
def stage(emulator: Emulator, deployed: str) -> Stage:
    assert deployed
    return Stage(emulator, "dev")


def api(stage: Stage) -> dict[str, str]:
    return {"restApiId": stage.api}


@pytest.fixture(scope="module")
def gateway(stage: Stage, emulator: Emulator) -> Stage:
    """The stage, behind a gateway with the binary type. AWS's client cannot send a list."""
    aws = emulator.client("apigateway")
    patch = {"op": "replace", "path": "/binaryMediaTypes", "value": [OCTETS]}

    def send_list(params: dict[str, Any], **_: Any) -> None:
        params["body"] = json.dumps({"patchOperations": [patch]}).encode()

    aws.meta.events.register("before-call.api-gateway.UpdateRestApi", send_list)
    aws.update_rest_api(**api(stage), patchOperations=[])
    assert aws.get_rest_api(**api(stage))["binaryMediaTypes"] == [OCTETS]
    return stage


@pytest.fixture(scope="module")
def token() -> str:
    return make_token("acme", "alice")


def invoke(
    stage: Stage,
    token: str,
    method: str,
    path: str,
    body: str | None = None,
    *,
    base64_encoded: bool = False,
    **headers: str,
) -> dict[str, Any]:
    """Sends the event that AWS would send for this path, as the client has encoded it."""
    sent = {"Authorization": f"Bearer {token}", "Host": stage.host}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    event = {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path[1:]},
        "stageVariables": None,
        "requestContext": {"path": f"/dev{path}", "stage": "dev", "httpMethod": method},
        "body": body,
        "isBase64Encoded": base64_encoded,
    }
    error, answer = stage.invoke(event)
    assert error is None, answer
    return answer


def test_zappas_deployment_ends_with_the_binary_type(deployed, stage, emulator):
    assert f"API Gateway: {OCTETS} is binary." in deployed
    aws = emulator.client("apigateway")
    # AWS reads the ~1 as a slash.
    [kept] = aws.get_rest_api(**api(stage))["binaryMediaTypes"]
    assert kept.replace("~1", "/") == OCTETS
    deployments = aws.get_deployments(**api(stage))["items"]
    # Zappa's, and another one, in which the type takes effect.
    descriptions = [found.get("description", "") for found in deployments]
    assert len([text for text in descriptions if f"{OCTETS} is binary" in text]) == 1
    assert len(deployments) == 2


@pytest.mark.parametrize("raw", [EVERY_BYTE, os.urandom(LARGE)], ids=["every byte", "3 MB"])
def test_bytes_come_back_as_they_were_sent(gateway, token, raw):
    sent = {"Content-Type": OCTETS, "Value-Type": "image/png"}
    put = gateway.request("PUT", f"{VALUES}/bytes", token, data=raw, headers=sent)
    assert put.status_code in (200, 201), put.text
    got = gateway.request("GET", f"{VALUES}/bytes", token, headers={"Accept": OCTETS})
    assert got.status_code == 200
    assert got.content == raw
    assert got.headers["Content-Type"] == OCTETS
    assert got.headers["Value-Type"] == "image/png"
    assert got.headers["ETag"] == put.headers["ETag"]
    assert "Content-Transfer-Encoding" not in got.headers


def test_json_is_text_in_both_directions(gateway, token):
    text = '{"ü": 1e400, "a":  "\\u0000"}'.encode()
    sent = {"Content-Type": "application/json"}
    put = gateway.request("PUT", f"{VALUES}/json", token, data=text, headers=sent)
    assert put.status_code == 201, put.text
    for accept in (None, OCTETS):
        got = gateway.request("GET", f"{VALUES}/json", token, headers={"Accept": accept})
        assert (got.headers["Content-Type"], got.content) == ("application/json", text)


def test_another_type_than_octets_is_415(gateway, token):
    sent = {"Content-Type": "image/png"}
    put = gateway.request("PUT", f"{VALUES}/no", token, data=EVERY_BYTE, headers=sent)
    assert (put.status_code, put.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert OCTETS in put.headers["Accept"]
    assert gateway.request("GET", f"{VALUES}/no", token).status_code == 404


def test_without_accept_it_is_406_and_head_tells_all_but_the_bytes(gateway, token):
    sent = {"Content-Type": OCTETS, "Value-Type": "text/csv; charset=latin-1"}
    gateway.request("PUT", f"{VALUES}/csv", token, data=b"\xe9;1\n", headers=sent)
    got = gateway.request("GET", f"{VALUES}/csv", token)
    assert (got.status_code, got.json()["code"]) == (406, "NOT_ACCEPTABLE")
    head = gateway.request("HEAD", f"{VALUES}/csv", token)
    assert (head.status_code, head.headers["Value-Type"]) == (200, sent["Value-Type"])
    assert head.headers["ETag"]


def test_an_update_leaves_the_type_and_does_not_deploy_the_stage_twice(
    gateway, token, project, emulator
):
    def deployments() -> int:
        return len(emulator.client("apigateway").get_deployments(**api(gateway))["items"])

    before = deployments()
    printed = project.zappa("update", "dev")
    assert "API Gateway:" not in printed
    assert deployments() == before + 1  # Zappa's own
    sent = {"Content-Type": OCTETS}
    gateway.request("PUT", f"{VALUES}/bytes", token, data=EVERY_BYTE, headers=sent)
    got = gateway.request("GET", f"{VALUES}/bytes", token, headers={"Accept": OCTETS})
    assert got.content == EVERY_BYTE


def test_the_answer_has_base64_and_the_flag_and_no_trace_of_how(stage, token):
    raw = base64.b64encode(EVERY_BYTE).decode()
    octets = {"Content_Type": OCTETS, "Value_Type": "image/png"}
    put = invoke(stage, token, "PUT", f"{VALUES}/e", raw, base64_encoded=True, **octets)
    assert put["statusCode"] == 201, put
    assert "isBase64Encoded" not in put
    got = invoke(stage, token, "GET", f"{VALUES}/e", Accept=f"{OCTETS}, */*")
    assert (got["statusCode"], got["isBase64Encoded"]) == (200, True)
    assert got["body"] == raw
    assert got["headers"]["Content-Type"] == OCTETS
    assert got["headers"]["Content-Length"] == "256"
    for headers in (got["headers"], got["multiValueHeaders"]):
        assert "Content-Transfer-Encoding" not in headers
    for accept in ("*/*", f"*/*, {OCTETS}"):
        refused = invoke(stage, token, "GET", f"{VALUES}/e", Accept=accept)
        assert (refused["statusCode"], "isBase64Encoded" in refused) == (406, False)
    head = invoke(stage, token, "HEAD", f"{VALUES}/e")
    assert (head["statusCode"], "body" in head) == (200, False)
    assert head["headers"]["Content-Length"] == "256"


NAMES = ["100%", "%25", "a%2Fb", "#1?x", "für/Ürün/🌉", "a b+c;d", "%ü", "�"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_arrives_as_it_was_encoded(stage, token, name):
    """Zappa decodes once what AWS has not decoded."""
    for path in {quote(name, safe=""), quote(name)}:
        event = (stage, token, "PUT", f"{VALUES}/{path}", json.dumps(name))
        put = invoke(*event, Content_Type="application/json")
        assert put["statusCode"] in (200, 201), put
        assert json.loads(put["body"])["name"] == name
    listed = json.loads(invoke(stage, token, "GET", VALUES)["body"])["values"]
    assert [value["name"] for value in listed if value.get("json") == name] == [name]


def test_a_name_that_is_not_utf_8_is_refused(stage, token):
    put = invoke(stage, token, "PUT", f"{VALUES}/%ff", "1", Content_Type="application/json")
    assert put["statusCode"] == 422
    assert "Not UTF-8" in put["body"]


@pytest.mark.parametrize("name", ["100%", "#1?x", "für/Ürün/🌉", "a b+c;d"])
def test_names_pass_the_emulators_gateway_unless_they_look_encoded(gateway, token, name):
    path = f"{VALUES}/{quote(name)}"
    put = gateway.request("PUT", path, token, json=name)
    assert put.json()["name"] == name
    assert gateway.request("GET", path, token).json() == name
