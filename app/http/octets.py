"""Bytes on their way through API Gateway and Lambda, whose events and answers hold only text.

API Gateway turns a request's body into base64, and base64 in an answer into bytes, for the types in
its `binaryMediaTypes`. This deployment has one such type, `application/octet-stream`
(`deploy/gateway.py`). So all bytes are sent as this type, and their own type is in `Value-Type`.
"""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import flask

from app.errors import NotAcceptable

OCTETS = "application/octet-stream"

VALUE_TYPE = "Value-Type"
"""The header with the type of a body that is sent as `OCTETS`."""

CODING = "Content-Transfer-Encoding"
"""Marks an answer whose body is base64. `app.lambda_handler` removes this header and sets
`isBase64Encoded`."""


def init_app(app: flask.Flask) -> None:
    app.before_request(_restore_path)


def on_lambda() -> bool:
    return "lambda.event" in flask.request.environ


def response(raw: bytes, headers: Mapping[str, str]) -> flask.Response:
    """The answer to a request on Lambda that reads bytes.

    Raises:
        NotAcceptable: API Gateway would not decode the base64.
    """
    if flask.request.method != "HEAD" and not _is_decoded(flask.request.headers.get("Accept", "")):
        raise NotAcceptable
    coding = {CODING: "base64"} if raw else {}
    return flask.Response(base64.b64encode(raw), headers={**headers, **coding}, content_type=OCTETS)


def _is_decoded(accept: str) -> bool:
    """Whether API Gateway decodes base64 for this Accept. It compares only the first type. Whether
    it takes one with parameters is not known, so such an Accept is refused.

    >>> _is_decoded("application/octet-stream, */*"), _is_decoded("*/*, application/octet-stream")
    (True, False)
    """
    return accept.split(",")[0].strip().lower() == OCTETS


def body_in_event(event: Mapping[str, Any]) -> tuple[int, bool]:
    """The bytes that the body takes in the event, and whether it is base64 there. Then
    `app.lambda_handler` has decoded it.

    >>> body_in_event({"body": b"1234"}), body_in_event({"body": '"x"'}), body_in_event({})
    ((8, True), (5, False), (0, False))
    """
    body = event.get("body") or ""
    if isinstance(body, bytes):
        return -(-len(body) // 3) * 4, True
    return len(body.encode()) + sum(map(body.count, '"\\\n\r\t')), False


def _restore_path() -> None:
    """Restores a path that is not UTF-8, for the views that refuse it. Zappa replaces what is not
    UTF-8 by U+FFFD, and a value would get another name."""
    environ = flask.request.environ
    path = unquote_to_bytes((environ.get("lambda.event") or {}).get("path") or "")
    try:
        path.decode()
    except UnicodeDecodeError:
        environ["PATH_INFO"] = path.decode("latin-1")
