"""Lambda's way in: lets API Gateway, its authorizer and the schedule through to Zappa, no more.

Zappa's own handler also carries out what an event says: it runs `raw_command` as Python, and calls
whichever function `command`, `manage` or a scheduled rule's name asks for. Whoever may invoke the
function would hold its role; a caller of ours never needs that.
"""

import gc
import logging
from typing import Any

# What is imported stays: looking for garbage among it takes a sixth of a cold start, and would take
# its share of each collection later.
gc.disable()
try:
    from zappa import handler as zappa  # makes the app
except SystemExit as stopped:
    # Lambda reports an exception to whoever invokes the function; of an exit it says no reason.
    raise RuntimeError(stopped.code) from None

gc.freeze()
gc.enable()

# Zappa's line a request says less than ours, which is one line, too.
logging.getLogger("zappa.wsgi").setLevel(logging.WARNING)

SCHEDULED = frozenset({"app.operations.sweep.handler"})
"""What a schedule may call; Zappa takes it from the end of the rule's name."""


class Refused(Exception):
    """An event that no part of this deployment sends."""


def handler(event: dict[str, Any], context: Any) -> Any:
    """
    Raises:
        Refused: neither a request, nor a token to look at, nor the schedule.
    """
    if not (_is_request(event) or _is_token(event) or _is_scheduled(event)):
        raise Refused("only API Gateway, its authorizer and the sweep's schedule may call this")
    # Zappa would put them into the environment; we have none, so these are not API Gateway's.
    event["stageVariables"] = None
    return zappa.lambda_handler(event, context)


def _is_request(event: dict[str, Any]) -> bool:
    """Of a REST API (v1), which has its authorizer before it; not of a function URL (2.0)."""
    return bool(event.get("httpMethod")) and event.get("version", "1.0") == "1.0"


def _is_token(event: dict[str, Any]) -> bool:
    return event.get("type") == "TOKEN" and not _COMMANDS & event.keys()


def _is_scheduled(event: dict[str, Any]) -> bool:
    if event.get("detail-type") != "Scheduled Event":
        return False
    rule = str((event.get("resources") or [""])[0])
    return rule.split("/")[-1].split("-")[-1] in SCHEDULED


_COMMANDS = {"raw_command", "command", "manage", "Records", "bot", "requestContext", "detail-type"}
"""What Zappa looks for before it looks for a token: with one of these it is no token's event."""
