"""The page at `/`, which says what this service is. It needs no token, so it shows nothing else."""

import base64
import hashlib

import flask
from markupsafe import Markup

from app import __version__

_STYLE = "body{font:16px/1.5 sans-serif;margin:0 auto;max-width:40rem;padding:1rem}"

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}

_HEADERS = {
    **SECURITY_HEADERS,
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}

blueprint = flask.Blueprint("landing", __name__, template_folder="pages")


def init_app(app: flask.Flask, *, docs: bool, tokens: str) -> None:
    """`tokens` says where tokens come from: `here` (a button), the `issuer`, or the `secret`."""
    app.jinja_env.globals.update(docs=docs, tokens=tokens)
    app.register_blueprint(blueprint)


@blueprint.get("/")
def get_landing() -> flask.Response:
    if name := _without_slash():
        return flask.Response(status=308, headers={"Location": f"{name}/"})
    page = flask.render_template("landing.html", style=Markup(_STYLE), version=__version__)  # noqa: S704
    return flask.Response(page, mimetype="text/html", headers=_HEADERS)


def _without_slash() -> str:
    """The last segment of the prefix if the request was for `/dev` instead of `/dev/`, where
    relative links would leave the prefix. API Gateway passes on the path `/` for both."""
    environ = flask.request.environ
    context = environ.get("lambda.event", {}).get("requestContext") or {}
    path: str = context.get("path") or environ["SCRIPT_NAME"] + environ["PATH_INFO"]
    return path.rpartition("/")[2]
