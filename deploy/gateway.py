"""Makes API Gateway pass bytes on. Zappa calls `pass_bytes_on` after it deploys or updates a stage.

This also happens when Zappa is run by hand. Zappa's own `binary_support` sets `*/*` instead, and
then every body is sent as base64. Imports nothing of ours: Zappa may run from anywhere.
"""

import time
from typing import Any

OCTETS = "application/octet-stream"  # as in app/http/octets.py

DEPLOYMENT_SECONDS = 5
"""An account may make one deployment in this time, and Zappa has just made one.
https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""


def pass_bytes_on(zappa: Any) -> None:
    """Makes `OCTETS` a binary type of the API, and deploys the stage again so that it takes effect.
    Does nothing if it is one: the update has just deployed the stage."""
    gateway = zappa.zappa.apigateway_client
    api = {"restApiId": zappa.zappa.get_api_id(zappa.lambda_name)}
    if OCTETS in gateway.get_rest_api(**api).get("binaryMediaTypes", []):
        return
    add = {"op": "add", "path": "/binaryMediaTypes/" + OCTETS.replace("/", "~1")}
    gateway.update_rest_api(**api, patchOperations=[add])
    for attempt in range(4):
        try:
            gateway.create_deployment(
                **api, stageName=zappa.api_stage, description=f"{OCTETS} is binary"
            )
            break
        except gateway.exceptions.TooManyRequestsException:
            if attempt == 3:
                raise
            time.sleep(DEPLOYMENT_SECONDS)
    print(f"API Gateway passes on {OCTETS} as bytes.")
