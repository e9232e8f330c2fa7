"""Creates the Flask app from its parts: settings, stores, authentication and routes."""

from copy import deepcopy
from typing import Any

import flask
import flask_cors

from app import __version__, logs
from app.config import Config
from app.conversations import routes as conversations
from app.conversations.exporting import Exporter
from app.conversations.fork import SessionForker
from app.conversations.importing import SessionImporter
from app.http import caching, docs, health, landing, octets, request_log
from app.http.api import Api
from app.http.limits import MAX_BODY
from app.identity import auth, dev_tokens
from app.identity.tokens import Verifier
from app.messages import grounding_routes
from app.messages import routes as messages
from app.messages.editor import MessageEditor
from app.messages.feedback import FeedbackStore
from app.messages.reader import MessageReader
from app.messages.remover import MessageRemover
from app.messages.store import MessageStore
from app.quotas import routes as usage
from app.sessions.listing import SessionLister
from app.sessions.store import SessionStore
from app.table.db import Table
from app.table.ids import UlidSource
from app.values import routes as values
from app.values.addresses import ValueNameConverter
from app.values.batch import ValueBatches
from app.values.store import ValueStore

SPEC_OPTIONS = {
    "info": {
        "description": "Sessions, the messages in them, and the references that ground each answer "
        "in its sources.\n\nEvery request needs a bearer token and reaches only that user's data. "
        "Bodies are JSON in UTF-8, plain or with `Content-Encoding: gzip`. Errors are problem "
        "details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) with a stable `code`. "
        "New members may be added to responses; ignore those you do not know.",
        "contact": {"name": "Session Store contributors"},
        "license": {"name": "MIT", "identifier": "MIT"},
    },
    "servers": [{"url": "."}],
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
    "description": "The user to act for, in the token's tenant, percent-encoded. Needs the scope "
    f"`{auth.ACT_FOR_USER}`",
}

EXPOSED_HEADERS = [
    "ETag",
    "Session-ETag",
    "Location",
    "Retry-After",
    "Should-Retry",
    "Idempotent-Replayed",
    "Preference-Applied",
    "Value-Type",
    "X-Request-Id",
    "RateLimit",
    "RateLimit-Policy",
]

BLUEPRINTS = (conversations.blp, grounding_routes.blp, values.blp, usage.blp)


def create_app(
    config: Config,
    *,
    table: Table | None = None,
    ulids: UlidSource | None = None,
    verifier: Verifier | None = None,
) -> flask.Flask:
    """Returns the WSGI app. Arguments that are None are created from `config`."""
    app = flask.Flask(__package__, static_folder=None)
    app.config.update(
        API_TITLE="Session store",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS=deepcopy(SPEC_OPTIONS),  # apispec adds to them
        MAX_CONTENT_LENGTH=MAX_BODY,
        RETENTION_DAYS=config.retention_days,
        SETTINGS=config,
    )
    app.json.sort_keys, app.json.compact = False, True  # type: ignore[attr-defined]
    app.url_map.converters["message_id"] = messages.MessageIdConverter
    app.url_map.converters["value_name"] = ValueNameConverter
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    ulids = ulids or UlidSource()
    _add_stores(app, table or Table(config.sessions_table), ulids)

    logs.configure(config.log_level)
    request_log.init_app(app, config.request_budget, config.metrics_namespace)
    auth.init_app(app, verifier or Verifier(config), require_scopes=config.jwt_require_scopes)
    if config.counts_usage:
        from app.quotas import hooks  # costs nothing if it is not needed

        hooks.init_app(app, config, app.extensions["table"], ulids.clock)
    caching.init_app(app)
    octets.init_app(app)
    if config.cors_origins:
        allowed: dict[str, Any] = {"origins": list(config.cors_origins), "max_age": 600}
        flask_cors.CORS(app, resources={"/api/*": allowed}, expose_headers=EXPOSED_HEADERS)

    api = Api(app)
    for blp in BLUEPRINTS:
        api.register_blueprint(blp, url_prefix="/api/v1", parameters=[ACT_FOR_USER])
    api.register_blueprint(health.blp)
    if config.docs_enabled:
        docs.init_app(app, api)
    if config.dev_tokens:
        dev_tokens.init_app(app, config, app.extensions["table"].client.meta.endpoint_url)
    tokens = "here" if config.dev_tokens else "issuer" if config.jwt_jwks_url else "secret"
    landing.init_app(app, docs=config.docs_enabled, tokens=tokens)
    return app


def _add_stores(app: flask.Flask, table: Table, ulids: UlidSource) -> None:
    """Routes, commands and tests look the stores up in `app.extensions`."""
    value_store = ValueStore(table, ulids)
    app.extensions |= {
        "table": table,
        "clock": ulids.clock,
        "session_store": SessionStore(table, ulids),
        "session_forker": SessionForker(table, ulids),
        "exporter": Exporter(table, ulids.clock),
        "session_importer": SessionImporter(table, ulids),
        "session_lister": SessionLister(table, ulids.clock),
        "message_store": MessageStore(table, ulids),
        "message_reader": MessageReader(table, ulids.clock),
        "message_editor": MessageEditor(table, ulids),
        "feedback_store": FeedbackStore(table, ulids),
        "message_remover": MessageRemover(table, ulids),
        "value_store": value_store,
        "value_batches": ValueBatches(value_store),
    }
