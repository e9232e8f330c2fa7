"""What the scripts need of a stage: its settings, its address, its secrets, a smoke test.

python -m deploy.stage STAGE
    environment | credentials | check | deployed | address | secrets | secret | smoke
"""
# Over 250 lines, because all of these need the same settings of a stage.

import json
import os
import re
import shlex
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import boto3

from app.config import Config, split_origins
from app.table.client import operator_message
from deploy.checks import check

ROOT = Path(__file__).resolve().parent.parent
SMOKE_SECONDS = 60.0  # a new API takes a while until it answers everywhere


class Stage:
    def __init__(self, name: str) -> None:
        self.name = name
        self.settings = _settings(name)
        self.region: str = self.settings["aws_region"]
        self.function = f"{self.settings['project_name']}-{name}"

    @property
    def variables(self) -> dict[str, str]:
        return dict(self.settings["aws_environment_variables"])

    @property
    def secrets(self) -> list[str]:
        """The names of the secrets that its function needs. Their values are in no file."""
        variables = self.variables
        issuers = variables.get("ISSUERS", "")
        if file := variables.get("ISSUERS_FILE"):
            try:
                issuers = (ROOT / file).read_text()
            except OSError:
                sys.exit(f"ISSUERS_FILE: there is no {file} (docs/issuers.md)")
        if issuers:
            return sorted(set(re.findall(r'"secret_env"\s*:\s*"(ISSUER_SECRET_\w+)"', issuers)))
        return [] if variables.get("JWT_JWKS_URL") else ["JWT_SECRET"]

    @property
    def tags(self) -> dict[str, str]:
        return dict(self.settings["tags"])

    def client(self, service: str) -> Any:
        session = boto3.Session(profile_name=self.settings.get("profile_name"))
        return session.client(service, region_name=self.region)

    @property
    def api(self) -> str:
        """The id of the API, from Zappa's CloudFormation stack."""
        found = self.client("cloudformation").describe_stack_resource(
            StackName=self.function, LogicalResourceId="Api"
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    @property
    def address(self) -> str:
        if domain := self.settings.get("domain"):
            return f"https://{domain}"
        if emulator := os.environ.get("AWS_ENDPOINT_URL"):
            return f"{emulator}/_aws/execute-api/{self.api}/{self.name}"
        return f"https://{self.api}.execute-api.{self.region}.amazonaws.com/{self.name}"


@contextmanager
def aws_errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if told := operator_message(error):
            sys.exit(told)
        raise


def _settings(name: str) -> dict[str, Any]:
    """The stage's settings, merged with those of the stage it extends, as Zappa does."""
    stages = json.loads((ROOT / "zappa_settings.json").read_text())
    if name not in stages or name == "base":
        known = ", ".join(stage for stage in stages if stage != "base")
        sys.exit(f"There is no stage {name} in zappa_settings.json; there is {known}.")
    settings: dict[str, Any] = {}
    while name:
        settings = {**stages[name], **settings}
        name = stages[name].get("extends", "")
    return settings


def print_environment(stage: Stage) -> None:
    """Prints shell commands that make `flask` use the stage's table and settings, and none of the
    shell's own but the secrets."""
    placeholders = sorted(set(re.findall(r"CHANGE-ME[\w-]*", json.dumps(stage.settings))))
    if placeholders:
        sys.exit(f"zappa_settings.json still has {', '.join(placeholders)} (docs/deploy.md).")
    exported = {
        **stage.variables,
        "AWS_REGION": stage.region,
        "AWS_DEFAULT_REGION": stage.region,
        "TABLE_TAGS": " ".join(f"--tag {name}={value}" for name, value in stage.tags.items()),
    }
    if profile := stage.settings.get("profile_name"):
        exported["AWS_PROFILE"] = profile
    settings = {setting.name.upper() for setting in fields(Config)} | {"ISSUERS_FILE"}
    print("unset", *sorted(settings - {"JWT_SECRET", "ISSUER_SECRETS"}))
    for name, value in exported.items():
        print(f"export {name}={shlex.quote(value)}")


def check_credentials(stage: Stage) -> None:
    """Fails in one line. Zappa prints many lines, or says that the stage is not deployed."""
    stage.client("sts").get_caller_identity()


def check_settings(stage: Stage) -> None:
    check(stage.settings, stage.function)


def print_deployed(stage: Stage) -> None:
    """Prints yes or no. `zappa status` would say no as well if a permission is missing, and needs
    more of them."""
    functions = stage.client("lambda")
    try:
        functions.get_function_configuration(FunctionName=stage.function)
    except functions.exceptions.ResourceNotFoundException:
        print("no")
    else:
        print("yes")


def print_address(stage: Stage) -> None:
    print(stage.address)


def print_secrets(stage: Stage) -> None:
    print(" ".join(stage.secrets))


def set_secret(stage: Stage) -> None:
    """Sets the secrets that SECRETS names at the function, from this environment. So they are in no
    file and not in the archive, and Zappa's updates keep them."""
    functions = stage.client("lambda")
    functions.get_waiter("function_updated_v2").wait(FunctionName=stage.function)
    found = functions.get_function_configuration(FunctionName=stage.function)
    variables = found.get("Environment", {}).get("Variables", {})
    for name in os.environ.get("SECRETS", "JWT_SECRET").split():
        variables[name] = os.environ[name]
    functions.update_function_configuration(
        FunctionName=stage.function, Environment={"Variables": variables}
    )
    functions.get_waiter("function_updated_v2").wait(FunctionName=stage.function)


def smoke(stage: Stage) -> None:
    """Invokes the function for /health, because the gateway may refuse a request before it. Then
    lists sessions at the public address: without a token, which must be refused, and with TOKEN
    from the environment, if it is set. Sends the preflight of each origin in CORS_ORIGINS."""
    _expect_the_function_to_start(stage)
    url = f"{stage.address}/api/v1/sessions?limit=1"
    _expect(401, url, None)
    if token := os.environ.get("TOKEN"):
        _expect(200, url, token)
    for origin in split_origins(stage.variables.get("CORS_ORIGINS", "")):
        _expect_preflight(url, origin)
    print(f"{stage.function} answers at {stage.address}")
    if stage.variables.get("DOCS_ENABLED") == "1" and "authorizer" not in stage.settings:
        print(f"Swagger UI: {stage.address}/docs")
    if not token:
        print("Only a request without a token was made. Set TOKEN to make an authenticated one.")


HEALTH = {
    "httpMethod": "GET",
    "path": "/health",
    "resource": "/{proxy+}",
    "headers": {},
    "queryStringParameters": None,
    "requestContext": {"path": "/health"},
    "body": None,
    "isBase64Encoded": False,
}
"""The event that API Gateway would send for GET /health."""


def _expect_the_function_to_start(stage: Stage) -> None:
    functions = stage.client("lambda")
    functions.get_waiter("function_updated_v2").wait(FunctionName=stage.function)
    answer = functions.invoke(FunctionName=stage.function, Payload=json.dumps(HEALTH))
    told = json.load(answer["Payload"])
    if "FunctionError" not in answer and told.get("statusCode") == 200:
        return
    reason = told.get("errorMessage") or told.get("body") or told
    sys.exit(
        f"{stage.function} does not answer /health: {reason}\n"
        f"Its log: aws logs tail /aws/lambda/{stage.function} --region {stage.region}"
    )


def _expect(status: int, url: str, token: str | None) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    deadline = time.monotonic() + SMOKE_SECONDS
    while (answer := _ask("GET", url, headers))[0] != status:
        if time.monotonic() > deadline:
            sys.exit(f"GET {url} was answered with {answer[0]}, not {status}: {answer[2]}")
        time.sleep(2)


def _expect_preflight(url: str, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    status, headers, body = _ask("OPTIONS", url, asked)
    if status != 200 or headers.get("Access-Control-Allow-Origin") != origin:
        sys.exit(f"A page on {origin} cannot call {url}: its preflight got {status} {body}")


def _ask(method: str, url: str, headers: dict[str, str]) -> tuple[int, Mapping[str, str], str]:
    request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310  our own
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()
    except OSError as error:
        return 0, {}, str(error)


COMMANDS = {
    "environment": print_environment,
    "credentials": check_credentials,
    "check": check_settings,
    "deployed": print_deployed,
    "address": print_address,
    "secrets": print_secrets,
    "secret": set_secret,
    "smoke": smoke,
}


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[2] not in COMMANDS:
        sys.exit(__doc__)
    with aws_errors_in_one_line():
        COMMANDS[sys.argv[2]](Stage(sys.argv[1]))
