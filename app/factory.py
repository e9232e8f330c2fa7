"""Creates the Flask app from its parts: settings, stores, authentication and routes."""

from copy import deepcopy

import flask

from app import __version__, logs
from app.config import Config
from app.conversations import routes as conversations
from app.conversations.exporting import Exporter
from app.conversations.fork import SessionForker
from app.conversations.importing import SessionImporter
from app.http import caching, cors, docs, health, landing, octets, request_log
from app.http.api import Api
from app.http.limits import MAX_BODY
from app.http.readiness import Readiness, answers
from app.identity import audit, auth, dev_tokens, scopes
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
from app.sources import routes as sources
from app.sources.listing import AnswerLister
from app.sources.redactor import SourceRedactor
from app.table.db import Table
from app.table.ids import UlidSource
from app.values import routes as values
from app.values.addresses import ValueNameConverter
from app.values.batch import ValueBatches
from app.values.store import ValueStore
from app.verdicts import routes as verdicts
from app.verdicts.store import VerdictStore

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
    f"`{scopes.ACT_FOR_USER}`",
}

BLUEPRINTS = (
    conversations.blp,
    grounding_routes.blp,
    values.blp,
    sources.blp,
    verdicts.blp,
    usage.blp,
)


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
    table = table or Table(config.sessions_table)
    _add_stores(app, table, ulids, web_sources=config.index_sources == "all")

    logs.configure(config.log_level)
    if config.otel_enabled:
        from app.http import telemetry  # takes longer to import than all else

        telemetry.init_app(app, config)
    request_log.init_app(app, config.request_budget, config.metrics_namespace)
    verifier = verifier or Verifier(config)
    app.extensions["verifier"] = verifier
    auth.init_app(app, verifier)
    audit.init_app(app)
    if config.counts_usage:
        from app.quotas import hooks  # costs nothing if it is not needed

        hooks.init_app(app, config, app.extensions["table"], ulids.clock)
    caching.init_app(app, by_origin=bool(config.cors_origins))
    octets.init_app(app)
    if config.cors_origins:
        cors.init_app(app, config.cors_origins)

    api = Api(app)
    for blp in BLUEPRINTS:
        api.register_blueprint(blp, url_prefix="/api/v1", parameters=[ACT_FOR_USER])
    api.register_blueprint(health.blp)
    app.extensions["readiness"] = Readiness(
        {"table": lambda: answers(app.extensions["table"]), "issuer_keys": verifier.has_keys}
    )
    if config.docs_enabled:
        docs.init_app(app, api)
    if config.dev_tokens:
        dev_tokens.init_app(app, config, app.extensions["table"].client.meta.endpoint_url)
    tokens = "here" if config.dev_tokens else "secret" if config.jwt_secret else "issuer"
    landing.init_app(app, docs=config.docs_enabled, tokens=tokens)
    return app


def _add_stores(app: flask.Flask, table: Table, ulids: UlidSource, *, web_sources: bool) -> None:
    """Routes, commands and tests look the stores up in `app.extensions`."""
    value_store = ValueStore(table, ulids)
    app.extensions |= {
        "table": table,
        "clock": ulids.clock,
        "session_store": SessionStore(table, ulids),
        "session_forker": SessionForker(table, ulids),
        "exporter": Exporter(table, ulids.clock),
        "session_importer": SessionImporter(table, ulids, web_sources=web_sources),
        "session_lister": SessionLister(table, ulids.clock),
        "message_store": MessageStore(table, ulids, web_sources=web_sources),
        "message_reader": MessageReader(table, ulids.clock),
        "message_editor": MessageEditor(table, ulids, web_sources=web_sources),
        "feedback_store": FeedbackStore(table, ulids),
        "message_remover": MessageRemover(table, ulids, web_sources=web_sources),
        "answer_lister": AnswerLister(table, ulids.clock),
        "source_redactor": SourceRedactor(table, ulids),
        "value_store": value_store,
        "value_batches": ValueBatches(value_store),
        "verdict_store": VerdictStore(table, ulids),
    }
