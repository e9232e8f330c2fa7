"""GET /health, for load balancers and monitors."""

from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.http.api import Blueprint

blp = Blueprint("meta", __name__, description="About the service itself")


class HealthSchema(ma.Schema):
    status = fields.String(required=True, metadata={"enum": ["ok"]})


@blp.get("/health")
@blp.response(200, HealthSchema)
@blp.doc(security=[])
def get_health() -> Any:
    """Check that the process is up

    Does not check the database. Otherwise, a load balancer would remove all instances whenever
    DynamoDB is slow.
    """
    return {"status": "ok"}
