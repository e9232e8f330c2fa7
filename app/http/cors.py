"""Which headers pages on other origins may send and read.

The gateway's own answers expose the same headers (deploy/gateway_answers.py).
"""

from collections.abc import Sequence

import flask
import flask_cors

ACCEPTED_HEADERS = [
    "Accept",
    "Act-For-User",
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Prefer",
    "Value-Type",
    "X-Request-Id",
]
"""Every request header that the API reads. A page may send no others."""

EXPOSED_HEADERS = [
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Session-ETag",
    "Should-Retry",
    "Value-Type",
    "WWW-Authenticate",
    "X-Request-Id",
]
"""Every response header that the API sets for clients."""

MAX_AGE = 600
"""Seconds. A browser sends the next preflight after this time."""


def init_app(app: flask.Flask, origins: Sequence[str]) -> None:
    """Lets pages on these origins call the API. `app.http.caching` sets Vary."""
    allowed = {
        "origins": list(origins),
        "allow_headers": ACCEPTED_HEADERS,
        "expose_headers": EXPOSED_HEADERS,
        "max_age": MAX_AGE,
        "always_send": False,
        "vary_header": False,
    }
    flask_cors.CORS(app, resources={"/api/*": allowed})
