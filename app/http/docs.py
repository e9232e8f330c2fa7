"""Swagger UI and the OpenAPI document, served by the app itself, all addresses relative: they work
under API Gateway's stage prefix and with no network but the app's own.
"""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import flask
from werkzeug.exceptions import NotFound

from app.http.api import Api

ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js")
"""All that Swagger UI needs; the package holds more."""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Session store</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs-assets/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="docs-assets/swagger-ui-bundle.js"></script>
<script src="docs-assets/swagger-ui-standalone-preset.js"></script>
<script src="docs-assets/start.js"></script>
"""

_START = """window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  persistAuthorization: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
"""

_SECURITY_HEADERS = {
    # Swagger UI sets style attributes and inlines its images; its scripts are files.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}

blueprint = flask.Blueprint("docs", __name__)


def init_app(app: flask.Flask, api: Api) -> None:
    app.extensions["openapi_document"] = cache(lambda: document(api))
    app.register_blueprint(blueprint)


def document(api: Api) -> str:
    """The OpenAPI document as text: what /openapi.json serves and docs/openapi.json holds."""
    return json.dumps(api.spec.to_dict(), indent=2, ensure_ascii=False) + "\n"


@blueprint.get("/docs")
def get_docs() -> flask.Response:
    return flask.Response(_PAGE, mimetype="text/html", headers=_SECURITY_HEADERS)


@blueprint.get("/docs-assets/<name>")
def get_docs_asset(name: str) -> flask.Response:
    if name == "start.js":
        return flask.Response(_START, mimetype="text/javascript", headers=_SECURITY_HEADERS)
    if name not in ASSETS:
        raise NotFound
    asset = flask.send_from_directory(_assets(), name, max_age=86400)
    asset.headers.update(_SECURITY_HEADERS)
    return asset


@blueprint.get("/openapi.json")
def get_openapi() -> flask.Response:
    text: str = flask.current_app.extensions["openapi_document"]()
    return flask.Response(text, mimetype="application/json", headers=_SECURITY_HEADERS)


def _assets() -> Path:
    package = find_spec("flask_swagger_ui")
    if package is None or package.origin is None:
        raise NotFound
    return Path(package.origin).parent / "dist"
