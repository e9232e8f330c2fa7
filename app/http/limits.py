"""How large a body may be, in a container and on Lambda."""

from typing import Any

import flask

from app.errors import TooLarge

MAX_BODY = 6 * 1024 * 1024
"""Bytes of a request's body. Flask refuses more without reading it."""

MAX_EVENT_BODY = 6_200_000
"""Bytes of a body as it stands in Lambda's event. The event may have 6,291,556; API Gateway puts
the headers (10,240 at most) into it twice, and the request's context.
https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""


def body_too_large() -> TooLarge:
    return TooLarge(f"The body has more than {MAX_BODY:,} bytes.")


def check_event(request: flask.Request) -> None:
    """Lambda's limit is on the event, where a body of many quotes or line breaks is much larger.
    Were it not checked here, a client would meet the gateway's error a little later, in its words.

    Raises:
        TooLarge
    """
    event: dict[str, Any] | None = request.environ.get("lambda.event")
    if event is None:
        return
    body = str(event.get("body") or "")
    size = len(body.encode()) + sum(map(body.count, '"\\\n\r\t'))
    if size > MAX_EVENT_BODY:
        raise TooLarge(
            f"The body has {size:,} bytes in Lambda's event, where quotes, backslashes, tabs and "
            f"line breaks count double; {MAX_EVENT_BODY:,} is the limit."
        )
