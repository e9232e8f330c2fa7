"""The Lambda entry point. Passes API Gateway's requests, its authorizer's events and the schedule
to Zappa, and refuses all other events.

Zappa's own handler also carries out commands: it runs `raw_command` as Python, and calls the
function named in `command`, `manage` or a scheduled rule. With it, anyone who may invoke the
function could use its role. This deployment never needs those commands.
"""

import base64
import gc
import logging
from typing import Any

# Imported modules are never garbage. Searching them takes a sixth of a cold start, and would slow
# down each later collection.
gc.disable()
try:
    from zappa import handler as zappa  # creates the app
except SystemExit as stopped:
    # Lambda reports the reason of an exception to the caller, but not that of an exit.
    raise RuntimeError(stopped.code) from None

gc.freeze()
gc.enable()

from app.http.octets import CODING  # noqa: E402  loaded with the app

# We log one line per request ourselves, with more in it than Zappa's.
logging.getLogger("zappa.wsgi").setLevel(logging.WARNING)

SCHEDULED = frozenset({"app.operations.sweep.handler"})
"""Functions that a schedule may call. Zappa takes the name from the end of the rule's name."""


class Refused(Exception):
    """The event is not one that this deployment sends."""


def handler(event: dict[str, Any], context: Any) -> Any:
    """
    Raises:
        Refused: the event is not a request, a token to authorize or the schedule.
    """
    if not (_is_request(event) or _is_token(event) or _is_scheduled(event)):
        raise Refused("only API Gateway, its authorizer and the sweep's schedule may call this")
    # Zappa would copy them to the environment. This API has none, so these are not API Gateway's.
    event["stageVariables"] = None
    if not _is_request(event):
        return zappa.lambda_handler(event, context)
    if event.get("isBase64Encoded"):
        # Zappa leaves base64 as it is, unless the gateway sends every body as base64
        # (`binary_support`).
        event["body"] = base64.b64decode(event.get("body") or "")
    return _with_base64_flag(zappa.lambda_handler(event, context))


def _with_base64_flag(answer: dict[str, Any]) -> dict[str, Any]:
    """Tells API Gateway to decode the body, if the app has encoded it."""
    for headers in (answer.get("headers"), answer.get("multiValueHeaders")):
        if headers and headers.pop(CODING, None):
            answer["isBase64Encoded"] = True
    return answer


def _is_request(event: dict[str, Any]) -> bool:
    """Accepts requests of a REST API (v1), which the authorizer has checked, but not those of a
    function URL (2.0)."""
    return bool(event.get("httpMethod")) and event.get("version", "1.0") == "1.0"


def _is_token(event: dict[str, Any]) -> bool:
    return event.get("type") == "TOKEN" and not _COMMANDS & event.keys()


def _is_scheduled(event: dict[str, Any]) -> bool:
    if event.get("detail-type") != "Scheduled Event":
        return False
    rule = str((event.get("resources") or [""])[0])
    return rule.split("/")[-1].split("-")[-1] in SCHEDULED


_COMMANDS = {"raw_command", "command", "manage", "Records", "bot", "requestContext", "detail-type"}
"""Members that Zappa acts on before it looks for a token. An authorizer's event has none."""
