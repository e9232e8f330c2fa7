"""Serves Swagger UI and the OpenAPI document. All addresses are relative and all files come from
the app, so the pages work under API Gateway's stage prefix and without access to other hosts.
"""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import flask
from werkzeug.exceptions import NotFound

from app.http.api import Api
from app.http.landing import SECURITY_HEADERS

PAGES = Path(__file__).with_name("pages")

ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js")
"""The files of the package that Swagger UI needs."""

OURS = {"start.js": "text/javascript", "docs.css": "text/css"}
"""Our own files, in `pages`."""

_HEADERS = {
    **SECURITY_HEADERS,
    # Swagger UI sets style attributes and uses data: images. Its scripts are files.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}

blueprint = flask.Blueprint("docs", __name__, template_folder="pages")


def init_app(app: flask.Flask, api: Api) -> None:
    app.extensions["openapi_document"] = cache(lambda: document(api))
    app.register_blueprint(blueprint)


def document(api: Api) -> str:
    """The OpenAPI document as text, for /openapi.json and docs/openapi.json."""
    return json.dumps(api.document(), indent=2, ensure_ascii=False) + "\n"


@blueprint.get("/docs", strict_slashes=True)
def get_docs() -> flask.Response:
    page = flask.render_template("docs.html")
    return flask.Response(page, mimetype="text/html", headers=_HEADERS)


@blueprint.get("/docs/", strict_slashes=True)
def redirect_to_docs() -> flask.Response:
    """Redirects because the page's links are relative to `/docs`."""
    return flask.Response(status=308, headers={"Location": "../docs"})


@blueprint.get("/docs-assets/<name>", strict_slashes=True)
def get_docs_asset(name: str) -> flask.Response:
    if name in OURS:
        asset = flask.send_from_directory(PAGES, name, mimetype=OURS[name])
    elif name in ASSETS:
        asset = flask.send_from_directory(_assets(), name, max_age=86400)
    else:
        raise NotFound
    asset.headers.update(_HEADERS)
    return asset


@blueprint.get("/openapi.json", strict_slashes=True)
def get_openapi() -> flask.Response:
    text: str = flask.current_app.extensions["openapi_document"]()
    return flask.Response(text, mimetype="application/json", headers=_HEADERS)


def _assets() -> Path:
    package = find_spec("flask_swagger_ui")
    if package is None or package.origin is None:
        raise NotFound
    return Path(package.origin).parent / "dist"
