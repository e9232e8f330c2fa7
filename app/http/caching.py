"""Cache headers. Every response under /api is private to one user."""

import flask

VARY = "Authorization, Act-For-User"
"""The headers that identify the user."""


def init_app(app: flask.Flask) -> None:
    """Clients may store responses, but must revalidate them (with the ETag) before each use. Shared
    caches may not store them. Errors are never stored."""

    @app.after_request
    def forbid_sharing(response: flask.Response) -> flask.Response:
        if flask.request.path.startswith("/api/"):
            kept = response.status_code < 400
            response.headers["Cache-Control"] = "private, no-cache" if kept else "no-store"
            vary = response.headers.get("Vary")  # CORS may have set it
            response.headers["Vary"] = f"{vary}, {VARY}" if vary else VARY
        return response
