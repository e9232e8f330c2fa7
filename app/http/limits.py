"""The maximum size of a body, in a container and on Lambda."""

from typing import Any

import flask

from app.errors import TooLarge
from app.http import octets

MAX_BODY = 6 * 1024 * 1024
"""Bytes of a request's body. Flask refuses a larger body without reading it."""

MAX_EVENT_BODY = 6_200_000
"""Bytes of a body in Lambda's event. The whole event may have 6,291,556. API Gateway also puts the
request's context and, twice, its headers (at most 10,240 bytes) into it.
https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""


def body_too_large() -> TooLarge:
    return TooLarge(f"The body has more than {MAX_BODY:,} bytes.")


def check_event(request: flask.Request) -> None:
    """Checks the body's size in Lambda's event, where quotes and line breaks take more space, and
    bytes are base64.

    A slightly larger body would get API Gateway's own error instead of a problem of ours.

    Raises:
        TooLarge: the body has more than `MAX_EVENT_BODY` bytes in the event.
    """
    event: dict[str, Any] | None = request.environ.get("lambda.event")
    if event is None:
        return
    size, is_base64 = octets.body_in_event(event)
    if size > MAX_EVENT_BODY:
        how = (
            "as base64"
            if is_base64
            else "where quotes, backslashes, tabs and line breaks count double"
        )
        raise TooLarge(
            f"The body has {size:,} bytes in Lambda's event, {how}. The limit is "
            f"{MAX_EVENT_BODY:,}."
        )
