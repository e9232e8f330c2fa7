"""Who may keep an answer. Everything under /api is somebody's own."""

import flask

VARY = ("Authorization", "Act-For-User")
"""What decides whose answer it is."""


def init_app(app: flask.Flask) -> None:
    """A client may keep what it got, and asks with its ETag before it uses that again. A shared
    cache keeps nothing. Nobody keeps an error."""

    @app.after_request
    def forbid_sharing(response: flask.Response) -> flask.Response:
        if flask.request.path.startswith("/api/"):
            kept = response.status_code < 400
            response.headers["Cache-Control"] = "private, no-cache" if kept else "no-store"
            response.vary.update(VARY)
        return response
