"""Reads the bytes of a body. Checks its type, charset, encoding and size before it is parsed."""

import binascii
import zlib

import flask
from webargs.flaskparser import is_json_request
from werkzeug.exceptions import HTTPException

from app.errors import MalformedJson, TooLarge, UnsupportedMediaType
from app.http import limits
from app.http.octets import OCTETS, VALUE_TYPE

ENCODINGS = {"", "identity", "gzip", "x-gzip"}
"""RFC 9110 section 8.4.1; x-gzip is gzip's old name."""

CHARSETS = {"utf-8", "utf8", "us-ascii"}

GZIP_MAGIC = b"\x1f\x8b"


def read_json(request: flask.Request) -> bytes:
    """
    Raises:
        UnsupportedMediaType: the content type, charset or encoding is not supported.
        MalformedJson: the body is not the gzip data that Content-Encoding announces, or it did not
            arrive completely.
        TooLarge: the body is too large, as sent or after unpacking.
    """
    coding = _check_headers(request)
    body = _read(request, coding)
    if b"\0" in body[:2]:
        raise UnsupportedMediaType("The body is UTF-16 or UTF-32. Send JSON in UTF-8.")
    if _is_base64(body):
        raise UnsupportedMediaType("The body is base64. Send the JSON text itself.")
    return body


def read_any(request: flask.Request) -> tuple[str, bytes]:
    """The content type and the bytes of a body of any type.

    Raises:
        As `read_json`.
        UnsupportedMediaType: also if API Gateway has passed on bytes as text, or if it is not known
            whether it has unpacked them.
    """
    if is_json_request(request):
        return request.mimetype, read_json(request)
    content_type = request.headers.get("Content-Type", "").strip() or OCTETS
    event = request.environ.get("lambda.event")
    if event is not None and event.get("body") and not event.get("isBase64Encoded"):
        raise UnsupportedMediaType(
            f"Send bytes as Content-Type: {OCTETS}, with their type in {VALUE_TYPE}.",
            headers={"Accept": f"application/json, {OCTETS}"},
        )
    coding = _check_coding(request)
    body = _read(request, coding if event is None else "")
    if event is not None and "gzip" in coding and body.startswith(GZIP_MAGIC):
        raise UnsupportedMediaType(
            "Send bytes that are gzip themselves without Content-Encoding.",
            headers={"Accept-Encoding": "identity"},
        )
    if request.mimetype == OCTETS:
        content_type = request.headers.get(VALUE_TYPE, "").strip() or content_type
    return content_type, body


def _read(request: flask.Request, coding: str) -> bytes:
    limits.check_event(request)
    body = _received(request)
    most = request.max_content_length
    if request.content_length is None and len(body) >= (most or len(body) + 1):
        # Werkzeug truncates a chunked body at the limit without an error.
        raise limits.body_too_large()
    if "gzip" in coding and not _is_unpacked(request, body):
        body = _unpack(body, most)
    return body


def _received(request: flask.Request) -> bytes:
    """The body as it was sent. What a server raises where chunks are none is its own: gunicorn's
    errors have no class in common but Exception."""
    try:
        return request.get_data()
    except HTTPException:  # too large, or the client is gone
        raise
    except Exception:
        raise MalformedJson("The body did not arrive whole.") from None


def _check_coding(request: flask.Request) -> str:
    """Returns the Content-Encoding, one of `ENCODINGS`."""
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ENCODINGS:
        raise UnsupportedMediaType(
            "The body's Content-Encoding is not supported. Send it as gzip, or without encoding.",
            headers={"Accept-Encoding": "gzip, identity"},
        )
    return coding


def _check_headers(request: flask.Request) -> str:
    """Returns the Content-Encoding, one of `ENCODINGS`."""
    coding = _check_coding(request)
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if not is_json_request(request):
        raise UnsupportedMediaType(headers={"Accept": "application/json"})
    if charset not in CHARSETS:
        raise UnsupportedMediaType(
            "The body's charset is not supported. Send JSON in UTF-8 (RFC 8259 section 8.1).",
            headers={"Accept": "application/json"},
        )
    return coding


def _is_unpacked(request: flask.Request, body: bytes) -> bool:
    """Whether API Gateway has unpacked the body. It may leave the header in place."""
    return "lambda.event" in request.environ and not body.startswith(GZIP_MAGIC)


def _unpack(body: bytes, most: int | None) -> bytes:
    """Unpacks one gzip member, and no more than `most` bytes and one. The format allows several
    members, but there could be millions of empty ones."""
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        unpacked = unpacker.decompress(body, most + 1 if most else 0)
    except zlib.error:
        raise MalformedJson("The body is not gzip, although Content-Encoding says so.") from None
    if most and len(unpacked) > most:
        raise TooLarge(f"The body unpacks to more than {most} bytes.")
    if not unpacker.eof:
        raise MalformedJson("The body's gzip data is incomplete.")
    if unpacker.unused_data:
        raise MalformedJson("The body has more data after its first gzip member.")
    return unpacked


def _is_base64(body: bytes) -> bool:
    """Whether the body begins like a base64-encoded object or list. JSON text never does."""
    try:
        return binascii.a2b_base64(body[:64], strict_mode=True)[:1] in (b"{", b"[")
    except binascii.Error:
        return False
