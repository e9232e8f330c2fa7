"""The hook that sets API Gateway up after Zappa, against a gateway that counts what it is asked.

tests/deploy/test_browsers.py has what comes of it.
"""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import PROBLEM_JSON
from app.http.problems import ProblemSchema, codes
from deploy import gateway
from deploy.checks import ROOT
from deploy.gateway import set_up
from deploy.gateway_answers import ANSWERS, gateway_responses

ADDED = {"op": "add", "path": "/binaryMediaTypes/application~1octet-stream"}
ANY = {
    "authorizationType": "CUSTOM",
    "authorizerId": "a",
    "methodIntegration": {
        "type": "AWS_PROXY",
        "uri": "arn:function",
        "credentials": "arn:role",
        "httpMethod": "POST",
        "passthroughBehavior": "NEVER",
        "timeoutInMillis": 29000,
        "cacheNamespace": "none",
    },
}
OPTIONS = {**ANY, "authorizationType": "NONE", "authorizerId": None}


class TooManyRequests(Exception):
    pass


class Gateway:
    """Answers like AWS: an API without binary types has no such member. Keeps what it is given."""

    exceptions = SimpleNamespace(TooManyRequestsException=TooManyRequests)

    def __init__(self, *types: str, busy: int = 0) -> None:
        self.types = types
        self.busy = busy
        self.methods: dict[str, dict[str, Any]] = {
            "/": {"ANY": ANY},
            "/{proxy+}": {"ANY": ANY},
            "/empty": {},
        }
        self.responses = {kind: {"responseType": kind, "defaultResponse": True} for kind in ANSWERS}
        self.tracing = False
        self.asked: list[str] = []

    def get_rest_api(self, restApiId: str) -> dict[str, Any]:
        return {"id": restApiId, **({"binaryMediaTypes": list(self.types)} if self.types else {})}

    def update_rest_api(self, restApiId: str, patchOperations: Any) -> None:
        assert patchOperations == [ADDED]
        self.types += ("application/octet-stream",)
        self.asked.append("binary")

    def get_resources(self, restApiId: str, embed: list[str], limit: int) -> dict[str, Any]:
        assert embed == ["methods"]
        found = self.methods.items()
        return {"items": [{"id": p, "path": p, "resourceMethods": dict(m)} for p, m in found]}

    def delete_method(self, restApiId: str, resourceId: str, httpMethod: str) -> None:
        del self.methods[resourceId][httpMethod]
        self.asked.append(f"delete {httpMethod} {resourceId}")

    def put_method(
        self, resourceId: str, httpMethod: str, authorizationType: str, **_: Any
    ) -> None:
        assert httpMethod not in self.methods[resourceId], "AWS answers 409"
        self.methods[resourceId][httpMethod] = {"authorizationType": authorizationType}
        self.asked.append(f"put {httpMethod} {resourceId}")

    def put_integration(
        self, restApiId: str, resourceId: str, httpMethod: str, **integration: Any
    ) -> None:
        assert integration.pop("integrationHttpMethod") == "POST"
        self.methods[resourceId][httpMethod]["methodIntegration"] = integration

    def get_gateway_responses(self, restApiId: str) -> dict[str, Any]:
        return {"items": list(self.responses.values())}

    def put_gateway_response(self, restApiId: str, responseType: str, **response: Any) -> None:
        self.responses[responseType] = {"responseType": responseType, **response}
        self.asked.append(f"answer {responseType}")

    def create_deployment(self, restApiId: str, stageName: str, description: str) -> None:
        if self.busy:
            self.busy -= 1
            raise TooManyRequests
        self.asked.append(f"deploy {stageName} of {restApiId}")

    def get_stage(self, restApiId: str, stageName: str) -> dict[str, Any]:
        return {"stageName": stageName, "tracingEnabled": self.tracing}

    def update_stage(self, restApiId: str, stageName: str, patchOperations: Any) -> None:
        [patch] = patchOperations
        assert (patch["op"], patch["path"]) == ("replace", "/tracingEnabled")
        self.tracing = patch["value"] == "true"
        self.asked.append(f"trace {patch['value']}")


def zappa(of: Gateway, origins: str = "", *, tracing: bool = False) -> Any:
    variables = {"Variables": {"CORS_ORIGINS": origins}} if origins else {}
    functions = SimpleNamespace(get_function_configuration=lambda **_: {"Environment": variables})
    core = SimpleNamespace(
        apigateway_client=of, lambda_client=functions, get_api_id=lambda name: f"api of {name}"
    )
    settings = {"xray_tracing": True} if tracing else {}
    return SimpleNamespace(
        zappa=core, lambda_name="store-dev", api_stage="dev", stage_config=settings
    )


def set_up_once(*arguments: Any, **options: Any) -> Gateway:
    aws = Gateway(*arguments)
    set_up(zappa(aws, **options))
    return aws


@pytest.mark.parametrize("types", [(), ("image/png",)])
def test_everything_is_set_up_and_then_the_stage_deployed_once_more(types):
    aws = set_up_once(*types, tracing=True)
    assert aws.asked[:3] == ["binary", "put OPTIONS /", "put OPTIONS /{proxy+}"]
    assert set(aws.asked[3:-2]) == {f"answer {kind}" for kind in ANSWERS}
    # Tracing is the stage's own, and needs no deployment.
    assert aws.asked[-2:] == ["deploy dev of api of store-dev", "trace true"]


@pytest.mark.parametrize("origins", ["", "https://a.example", "https://a.example, https://b.test"])
def test_nothing_is_done_a_second_time(origins):
    aws = set_up_once(origins=origins, tracing=True)
    aws.asked.clear()
    set_up(zappa(aws, origins, tracing=True))
    assert aws.asked == []


def test_options_has_the_integration_of_any_and_no_authorizer():
    aws = set_up_once()
    for path in ("/", "/{proxy+}"):
        made = aws.methods[path]["OPTIONS"]
        assert made["authorizationType"] == "NONE"
        same = ("type", "uri", "credentials", "passthroughBehavior", "timeoutInMillis")
        assert made["methodIntegration"] == {name: ANY["methodIntegration"][name] for name in same}
    assert aws.methods["/empty"] == {}


@pytest.mark.parametrize(
    "present",
    [
        {**OPTIONS, "authorizationType": "CUSTOM"},
        {**OPTIONS, "methodIntegration": {**ANY["methodIntegration"], "uri": "arn:old"}},
        {**OPTIONS, "methodIntegration": {**ANY["methodIntegration"], "credentials": "arn:old"}},
        {"authorizationType": "NONE"},
    ],
    ids=["authorizer", "function", "role", "cut off"],
)
def test_another_options_method_is_replaced(present):
    aws = set_up_once()
    aws.methods["/"]["OPTIONS"] = present
    aws.asked.clear()
    set_up(zappa(aws))
    assert aws.asked == ["delete OPTIONS /", "put OPTIONS /", "deploy dev of api of store-dev"]


def test_a_changed_answer_is_put_back():
    aws = set_up_once()
    aws.responses["THROTTLED"] = {"responseType": "THROTTLED", "statusCode": "503"}
    aws.asked.clear()
    set_up(zappa(aws))
    assert aws.asked == ["answer THROTTLED", "deploy dev of api of store-dev"]


def test_tracing_is_switched_off_again():
    aws = set_up_once(tracing=True)
    set_up(zappa(aws))
    assert (aws.asked[-1], aws.tracing) == ("trace false", False)


def test_it_waits_until_the_account_may_deploy_again(monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr(gateway.time, "sleep", waited.append)
    aws = Gateway(busy=2)
    set_up(zappa(aws))
    assert waited == [5, 5]
    assert aws.asked[-1] == "deploy dev of api of store-dev"
    with pytest.raises(TooManyRequests):
        set_up(zappa(Gateway(busy=9)))


# The answers themselves


def headers(response: dict[str, Any]) -> dict[str, str]:
    prefix = "gatewayresponse.header."
    return {
        name.removeprefix(prefix): value for name, value in response["responseParameters"].items()
    }


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_is_a_problem_like_the_apps(kind):
    made = gateway_responses(())[kind]
    assert list(made["responseTemplates"]) == ["application/json"]
    body = json.loads(made["responseTemplates"]["application/json"])
    required = {name for name, field in ProblemSchema().fields.items() if field.required}
    assert set(body) == required
    assert ProblemSchema().validate(body) == {}
    assert body["code"] in codes()
    assert body["request_id"] == "$context.requestId"
    assert str(body["status"]) == made["statusCode"]
    told = headers(made)
    assert told["Content-Type"] == f"'{PROBLEM_JSON}'"
    assert told["X-Request-Id"] == "context.requestId"
    quoted = {name: value for name, value in told.items() if name != "X-Request-Id"}
    for value in quoted.values():
        assert value[0] == value[-1] == "'" and "'" not in value[1:-1]


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [
        ((), None),
        (("https://a.example",), "'https://a.example'"),
        (("https://a.example", "https://a.example"), "'https://a.example'"),
        (("https://a.example", "https://b.example"), "'*'"),
    ],
)
def test_an_answer_allows_the_origin_or_all_if_there_are_several(origins, allowed):
    for made in gateway_responses(origins).values():
        told = headers(made)
        assert told.get("Access-Control-Allow-Origin") == allowed
        assert ("Access-Control-Expose-Headers" in told) == bool(origins)
        assert "Access-Control-Allow-Credentials" not in told


def test_the_documentation_lists_every_status_and_code():
    page = (ROOT / "docs" / "deploy.md").read_text()
    _, listed = page.split("| The gateway answers |")
    listed = listed.split("\n\n")[0]
    told = {(int(status), code) for status, code in re.findall(r"(\d{3}) `(\w+)`", listed)}
    assert told == {(answer.status, answer.code) for answer in ANSWERS.values()}
