"""The answers that API Gateway gives itself: problems like the app's, which web pages can read.

https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import PROBLEM_JSON, OutcomeUnknown, TooLarge, Unauthorized, Unavailable, problem
from app.errors import UnsupportedMediaType as Unsupported
from app.http.cors import EXPOSED_HEADERS
from app.identity.jwks import PAUSE

RETRY = {"Should-Retry": "true", "Retry-After": "1"}
NO_RETRY = {"Should-Retry": "false"}


@dataclass(frozen=True)
class Answer:
    status: int
    code: str
    title: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)


def _like(error: Any, status: int, detail: str, headers: Mapping[str, str]) -> Answer:
    """An answer with the code of one of the app's errors."""
    return Answer(status, error.code, error.title, detail, headers)


BAD_REQUEST = Answer(
    400, "BAD_REQUEST", "Bad Request", "The gateway cannot read this request.", NO_RETRY
)
UNAUTHORIZED = _like(
    Unauthorized,
    401,
    Unauthorized.detail,
    {**NO_RETRY, "WWW-Authenticate": 'Bearer realm="sessions"'},
)
FORBIDDEN = Answer(403, "FORBIDDEN", "Forbidden", "The gateway refuses this request.", NO_RETRY)
TOO_MANY = Answer(429, "TOO_MANY_REQUESTS", "Too Many Requests", "Send requests less often.", RETRY)
NOT_VERIFIED = "The token could not be verified. Nothing was done. Try again."
# Without Should-Retry: whether a retry is safe depends on the request, and this text is fixed.
NO_ANSWER = (
    "The service did not answer, so a write may or may not have succeeded. Send the request again "
    "with the same Idempotency-Key."
)
OUTCOME_UNKNOWN = _like(OutcomeUnknown, 504, NO_ANSWER, {})

ANSWERS = {
    "ACCESS_DENIED": FORBIDDEN,
    "API_CONFIGURATION_ERROR": Answer(
        500, "INTERNAL_ERROR", "Internal error", "The gateway cannot call the service.", NO_RETRY
    ),
    "AUTHORIZER_CONFIGURATION_ERROR": _like(Unavailable, 503, NOT_VERIFIED, RETRY),
    # The authorizer cannot get the issuer's keys. The app gives the same answer.
    "AUTHORIZER_FAILURE": _like(
        Unavailable, 503, NOT_VERIFIED, {**RETRY, "Retry-After": str(int(PAUSE))}
    ),
    "BAD_REQUEST_BODY": BAD_REQUEST,
    "BAD_REQUEST_PARAMETERS": BAD_REQUEST,
    "DEFAULT_4XX": BAD_REQUEST,
    # Mainly the 502 for a function that crashed or was stopped.
    "DEFAULT_5XX": _like(OutcomeUnknown, 502, NO_ANSWER, {}),
    "EXPIRED_TOKEN": FORBIDDEN,
    "INTEGRATION_FAILURE": OUTCOME_UNKNOWN,
    "INTEGRATION_TIMEOUT": OUTCOME_UNKNOWN,
    "INVALID_API_KEY": FORBIDDEN,
    "INVALID_SIGNATURE": FORBIDDEN,
    "MISSING_AUTHENTICATION_TOKEN": FORBIDDEN,
    "QUOTA_EXCEEDED": Answer(
        429,
        "TOO_MANY_REQUESTS",
        "Too Many Requests",
        "The usage plan's quota is used up.",
        NO_RETRY,
    ),
    "REQUEST_TOO_LARGE": _like(TooLarge, 413, TooLarge.detail, NO_RETRY),
    "RESOURCE_NOT_FOUND": Answer(404, "NOT_FOUND", "Not Found", "Not Found.", NO_RETRY),
    "THROTTLED": TOO_MANY,
    "UNAUTHORIZED": UNAUTHORIZED,
    "UNSUPPORTED_MEDIA_TYPE": _like(Unsupported, 415, Unsupported.detail, NO_RETRY),
    "WAF_FILTERED": FORBIDDEN,
}
"""Every type of gateway response. The status is set for each, because the body repeats it."""


def gateway_responses(origins: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What PutGatewayResponse takes, by type. `origins` are the ones in CORS_ORIGINS."""
    return {kind: _gateway_response(answer, origins) for kind, answer in ANSWERS.items()}


def _gateway_response(answer: Answer, origins: Sequence[str]) -> dict[str, Any]:
    body = problem(answer.status, answer.code, answer.title, answer.detail, "$context.requestId")
    headers = {"Content-Type": PROBLEM_JSON, "Cache-Control": "no-store", **answer.headers}
    parameters = {name: f"'{value}'" for name, value in {**headers, **_cors(origins)}.items()}
    parameters["X-Request-Id"] = "context.requestId"
    return {
        "statusCode": str(answer.status),
        "responseParameters": {
            f"gatewayresponse.header.{name}": value for name, value in parameters.items()
        },
        "responseTemplates": {"application/json": json.dumps(body)},
    }


def _cors(origins: Sequence[str]) -> dict[str, str]:
    """A gateway response cannot choose from a list. With several origins it allows all. That is
    safe, because it holds no data and the app answers the preflight."""
    if not origins:
        return {}
    return {
        "Access-Control-Allow-Origin": origins[0] if len(set(origins)) == 1 else "*",
        "Access-Control-Expose-Headers": ", ".join(EXPOSED_HEADERS),
    }
