"""Cache headers. Every response under /api is private to one user."""

import flask

VARY = "Authorization, Act-For-User"
"""The headers that identify the user."""


def init_app(app: flask.Flask, *, by_origin: bool) -> None:
    """Clients may store responses, but must revalidate them (with the ETag) before each use. Shared
    caches may not store them. Errors are never stored. With `by_origin`, the CORS headers depend on
    the request's origin, also where it is missing or not allowed."""
    vary = f"Origin, {VARY}" if by_origin else VARY

    @app.after_request
    def forbid_sharing(response: flask.Response) -> flask.Response:
        if flask.request.path.startswith("/api/"):
            kept = response.status_code < 400
            response.headers["Cache-Control"] = "private, no-cache" if kept else "no-store"
            response.headers["Vary"] = vary
        return response
