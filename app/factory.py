"""Puts the app together: settings, stores, API, who may call."""

from copy import deepcopy
from typing import Any

import flask
import flask_cors

from app import __version__, auth, db, docs, ids, logs, meta
from app.api import Api
from app.config import Config
from app.messages import routes as messages
from app.messages.store import MessageStore
from app.sessions import routes as sessions
from app.sessions.store import SessionStore

MAX_BODY = 6 * 1024 * 1024
"""Bytes of a request's body: what Lambda takes. A message that is too large for the table is told
so with its own figures."""

SPEC_OPTIONS = {
    "info": {
        "description": "Sessions, the messages in them, and the references that ground each answer "
        "in its sources.",
        "license": {"name": "MIT", "identifier": "MIT"},
    },
    "servers": [{"url": "./"}],
    "security": [{"bearer": []}],
    "components": {
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        }
    },
}

ACT_FOR_USER = {
    "name": auth.ACT_FOR_USER_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1},
    "description": "A user of the token's tenant to act for, percent-encoded; takes the scope "
    f"`{auth.ACT_FOR_USER}`",
}

EXPOSED_HEADERS = ["ETag", "Location", "Retry-After", "Idempotent-Replayed", "X-Request-Id"]


def create_app(
    config: Config,
    *,
    table: db.Table | None = None,
    ulids: ids.UlidSource | None = None,
    verifier: auth.Verifier | None = None,
) -> flask.Flask:
    """The WSGI app. What is not given is made as `config` says; tests give their own."""
    app = flask.Flask("app", static_folder=None)
    app.config.update(
        API_TITLE="Session store",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS=deepcopy(SPEC_OPTIONS),  # apispec writes what it finds into them
        MAX_CONTENT_LENGTH=MAX_BODY,
        RETENTION_DAYS=config.retention_days,
    )
    app.json.sort_keys, app.json.compact = False, True  # type: ignore[attr-defined]
    app.url_map.converters["message_id"] = messages.MessageIdConverter
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    table = table or db.Table(config.sessions_table)
    app.extensions["table"] = table
    app.extensions["session_store"] = SessionStore(table, ulids)
    app.extensions["message_store"] = MessageStore(table, ulids)

    logs.configure(config.log_level)
    logs.init_app(app, config.request_budget, config.metrics_namespace)
    auth.init_app(app, verifier or auth.Verifier(config))
    if config.cors_origins:
        allowed: dict[str, Any] = {"origins": list(config.cors_origins), "max_age": 600}
        flask_cors.CORS(app, resources={"/api/*": allowed}, expose_headers=EXPOSED_HEADERS)

    api = Api(app)
    for blp in (sessions.blp, messages.blp):
        api.register_blueprint(blp, url_prefix="/api/v1", parameters=[ACT_FOR_USER])
    api.register_blueprint(meta.blp)
    if config.docs_enabled:
        docs.init_app(app, api)
    return app
