"""GET /health and GET /ready, for load balancers, orchestrators and monitors."""

from typing import Any

import flask
import marshmallow as ma
from marshmallow import fields

from app.errors import NotReady
from app.http.api import Blueprint
from app.http.readiness import Readiness

blp = Blueprint("meta", __name__, description="About the service itself")

NOT_STORED = {"Cache-Control": "no-store"}


class HealthSchema(ma.Schema):
    status = fields.String(required=True, metadata={"enum": ["ok"]})


class ReadySchema(ma.Schema):
    status = fields.String(required=True, metadata={"enum": ["ready"]})


@blp.get("/health")
@blp.response(200, HealthSchema)
@blp.doc(security=[])
def get_health() -> Any:
    """Check that the process is up

    Does not check the database. Otherwise, a load balancer would remove all instances whenever
    DynamoDB is slow. `/ready` checks it.
    """
    return {"status": "ok"}


@blp.get("/ready")
@blp.response(200, ReadySchema)
@blp.alt_response(503, response="Problem503")
@blp.doc(security=[])
def get_ready() -> Any:
    """Check that the service can answer requests

    The table must answer, and the issuer's keys must have been fetched. If they never were, this
    request tries. The answer takes 3 seconds at most and may be a second old. A 503 names in
    `not_ready` what is missing: `table`, `issuer_keys` or both.
    """
    readiness: Readiness = flask.current_app.extensions["readiness"]
    if missing := readiness.missing():
        raise NotReady(missing)
    return {"status": "ready"}, 200, NOT_STORED
