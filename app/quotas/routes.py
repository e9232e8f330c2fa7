"""/tenant/usage."""

from datetime import date
from typing import Any

import flask
from flask import current_app

from app.config import Config
from app.errors import ValidationFailed
from app.http.answers import json_object, json_response
from app.http.api import Blueprint
from app.identity.auth import current_caller
from app.quotas.schemas import MAX_DAYS, UsageQuerySchema, UsageSchema
from app.table import ids

blp = Blueprint("usage", __name__, description="What a tenant used")


@blp.get("/tenant/usage")
@blp.arguments(UsageQuerySchema, location="query")
@blp.response(200, UsageSchema)
@blp.problems(422)
def get_tenant_usage(query: dict[str, date]) -> flask.Response:
    """Show what your tenant used

    Shows for each day of UTC the requests, the units of DynamoDB, and the tokens per model where
    messages have them. Needs the scope `tenant:usage`, and is never refused for a quota. The use of
    the last seconds may be missing.
    """
    from app.quotas.answers import quota_members, usage_members  # loaded only where it is needed
    from app.quotas.report import UsageReader

    config: Config = current_app.config["SETTINGS"]
    made = current_app.extensions
    last = query.get("to") or date.fromisoformat(ids.iso_time(made["clock"]())[:10])
    first = query.get("from") or last
    if not 0 <= (last - first).days < MAX_DAYS:
        told = f"Must not be after `to`, nor {MAX_DAYS} days or more before it."
        raise ValidationFailed([{"location": "query", "field": "from", "message": told}])
    days = UsageReader(made["table"]).days(current_caller().tenant, first, last)
    members: dict[str, Any] = {
        "is_counted": config.counts_usage,
        "quotas": quota_members(config),
        "days": [usage_members(day, config.model_prices) for day in days],
    }
    return json_response(json_object(members))
