"""Counts each request, refuses it if a quota is used up, and shows in headers what is left."""

import flask

from app.config import Config
from app.quotas.limits import headers
from app.quotas.meter import Meter
from app.table.db import Table
from app.table.ids import Clock

NEVER_REFUSED = frozenset(
    {"sessions.export_user", "sources.redact_source", "usage.get_tenant_usage"}
)
"""Besides every DELETE, so that data can always be exported and erased."""


def init_app(app: flask.Flask, config: Config, table: Table, clock: Clock) -> None:
    """Must be called after `app.identity.auth.init_app`, whose hook sets the caller. A request
    without a valid token, or without the scope that it needs, is not counted."""
    meter = app.extensions["meter"] = Meter(table, clock, config)

    @app.before_request
    def admit() -> None:
        caller = flask.g.get("caller")
        if caller:
            counters = flask.g.counters = meter.counters(caller)
            request = flask.request
            always = request.method == "DELETE" or request.endpoint in NEVER_REFUSED
            meter.admit(counters, always=always)

    @app.after_request
    def count(response: flask.Response) -> flask.Response:
        g = flask.g
        if "counters" in g:
            used = g.budget
            meter.count(g.counters, used.read_units, used.write_units, g.get("tokens", ()))
            response.headers.update(headers(meter.standings(g.counters)))
            response.call_on_close(meter.flush)
        return response
