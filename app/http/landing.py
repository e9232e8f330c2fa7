"""`/` tells whoever comes by with a browser what this is. Open to anyone, so it says no more."""

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
    """`tokens` is where they come from: `here` (by a button), the `issuer`, or the `secret`."""
    app.jinja_env.globals.update(docs=docs, tokens=tokens)
    app.register_blueprint(blueprint)


@blueprint.get("/")
def get_landing() -> flask.Response:
    if name := _without_slash():
        return flask.Response(status=308, headers={"Location": f"{name}/"})
    page = flask.render_template("landing.html", style=Markup(_STYLE), version=__version__)  # noqa: S704
    return flask.Response(page, mimetype="text/html", headers=_HEADERS)


def _without_slash() -> str:
    """The prefix's last segment, if the page was asked for as `/dev` instead of `/dev/`: a relative
    link would lead past the prefix. What API Gateway hands on as the path is `/` for both."""
    environ = flask.request.environ
    context = environ.get("lambda.event", {}).get("requestContext") or {}
    path: str = context.get("path") or environ["SCRIPT_NAME"] + environ["PATH_INFO"]
    return path.rpartition("/")[2]
