"""API Gateway's TOKEN authorizer, which refuses invalid tokens before the app is invoked.

The app verifies every token again and does not read the authorizer's decision.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

import os
from functools import lru_cache
from typing import Any

from app.config import Config
from app.errors import Unauthorized
from app.identity.tokens import Verifier
from app.logs import log_event


@lru_cache(maxsize=1)
def _verifier() -> Verifier:
    return Verifier(Config.from_env(os.environ))


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """Returns a policy for the whole stage. API Gateway caches it by token, so a policy for a
    single route would refuse the same token on other routes."""
    try:
        caller = _verifier().verify(event.get("authorizationToken")).caller
    except Unauthorized as refusal:
        log_event("token refused", {"refused": refusal.reason})
        # API Gateway returns 401 for exactly this text, and 500 for any other.
        raise Exception("Unauthorized") from None
    api, stage = event["methodArn"].split("/")[:2]
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{api}/{stage}/*"}
    return {
        "principalId": caller.partition,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"tenant": caller.tenant, "user": caller.user, "agent": caller.agent or ""},
    }
