"""Sets up what Zappa leaves out of API Gateway, after it has deployed or updated a stage.

All of it belongs to the API, which Zappa's stack creates, so undeploying removes it.
"""

import time
from typing import Any

from app.config import split_origins
from app.http.octets import OCTETS
from deploy.gateway_answers import gateway_responses

DEPLOYMENT_SECONDS = 5
"""An account may make one deployment in this time, and Zappa has just made one.
https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""

Api = dict[str, str]
"""The argument that names the API."""


def set_up(zappa: Any) -> None:
    """Changes only what is not as it should be. If it changes anything but the stage's settings, it
    deploys the stage once more. Otherwise Zappa's own deployment has everything already."""
    gateway = zappa.zappa.apigateway_client
    api: Api = {"restApiId": zappa.zappa.get_api_id(zappa.lambda_name)}
    done = [
        *_pass_bytes_on(gateway, api),
        *_let_preflights_through(gateway, api),
        *_answer_as_the_app_does(gateway, api, _origins(zappa)),
    ]
    if done:
        _deploy(gateway, api, zappa.api_stage, "; ".join(done))
    done += _trace(gateway, api, zappa.api_stage, bool(zappa.stage_config.get("xray_tracing")))
    for what in done:
        print(f"API Gateway: {what}.")


def _origins(zappa: Any) -> tuple[str, ...]:
    """From the function, which may have a CORS_ORIGINS that is no longer in the settings."""
    functions = zappa.zappa.lambda_client
    found = functions.get_function_configuration(FunctionName=zappa.lambda_name)
    return split_origins(found.get("Environment", {}).get("Variables", {}).get("CORS_ORIGINS", ""))


def _pass_bytes_on(gateway: Any, api: Api) -> list[str]:
    """Makes `OCTETS` a binary type of the API. Zappa's own `binary_support` sets `*/*` instead, and
    then every body is sent as base64."""
    if OCTETS in gateway.get_rest_api(**api).get("binaryMediaTypes", []):
        return []
    add = {"op": "add", "path": "/binaryMediaTypes/" + OCTETS.replace("/", "~1")}
    gateway.update_rest_api(**api, patchOperations=[add])
    return [f"{OCTETS} is binary"]


def _let_preflights_through(gateway: Any, api: Api) -> list[str]:
    """Sends OPTIONS to the app without the authorizer, because a preflight has no token. The app
    answers it and reads no data. It knows the list of origins, which a static answer of the gateway
    could not hold."""
    opened = []
    for resource in gateway.get_resources(**api, embed=["methods"], limit=500)["items"]:
        methods = resource.get("resourceMethods", {})
        if "ANY" not in methods:
            continue
        wanted = _integration(methods["ANY"])
        method = {**api, "resourceId": resource["id"], "httpMethod": "OPTIONS"}
        if found := methods.get("OPTIONS"):
            if found.get("authorizationType") == "NONE" and _integration(found) == wanted:
                continue
            gateway.delete_method(**method)
        gateway.put_method(**method, authorizationType="NONE")
        gateway.put_integration(**method, **wanted)
        opened.append(f"OPTIONS {resource['path']} needs no token")
    return opened


def _integration(method: dict[str, Any]) -> dict[str, Any]:
    """The method's integration, as PutIntegration takes it."""
    found = method.get("methodIntegration") or {}
    wanted = {
        name: found[name]
        for name in ("type", "uri", "credentials", "passthroughBehavior", "timeoutInMillis")
        if found.get(name) is not None
    }
    return {**wanted, "integrationHttpMethod": "POST"}


def _answer_as_the_app_does(gateway: Any, api: Api, origins: tuple[str, ...]) -> list[str]:
    found = {each["responseType"]: each for each in gateway.get_gateway_responses(**api)["items"]}
    changed = []
    for kind, wanted in gateway_responses(origins).items():
        present = found.get(kind, {})
        if any(present.get(name) != value for name, value in wanted.items()):
            gateway.put_gateway_response(**api, responseType=kind, **wanted)
            changed.append(kind)
    readable = f"readable from {', '.join(origins)}" if origins else "without CORS headers"
    return [f"{len(changed)} of its own answers are problems, {readable}"] if changed else []


def _trace(gateway: Any, api: Api, stage: str, wanted: bool) -> list[str]:
    """Zappa's `xray_tracing` is only for the function."""
    of_stage = {**api, "stageName": stage}
    if bool(gateway.get_stage(**of_stage).get("tracingEnabled")) == wanted:
        return []
    replace = {"op": "replace", "path": "/tracingEnabled", "value": str(wanted).lower()}
    gateway.update_stage(**of_stage, patchOperations=[replace])
    return [f"X-Ray tracing is {'on' if wanted else 'off'}"]


def _deploy(gateway: Any, api: Api, stage: str, description: str) -> None:
    for attempt in range(4):
        try:
            gateway.create_deployment(**api, stageName=stage, description=description)
            break
        except gateway.exceptions.TooManyRequestsException:
            if attempt == 3:
                raise
            time.sleep(DEPLOYMENT_SECONDS)
