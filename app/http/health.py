"""Is the process up?"""

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

    Does not look at the database: a load balancer that removed every instance while DynamoDB has
    trouble would turn slow answers into none.
    """
    return {"status": "ok"}
