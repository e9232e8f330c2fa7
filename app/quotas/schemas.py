"""The JSON form of what a tenant used."""

import re
from datetime import date
from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.http.fields import Schema

MAX_DAYS = 31
"""Of one report."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class Day(fields.Field[date]):
    """A date of UTC as ISO 8601 writes it, in the form with hyphens only."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> date:  # noqa: ARG002
        try:
            if not _DAY.fullmatch(value):
                raise ValueError
            return date.fromisoformat(value)
        except (ValueError, TypeError):
            raise ma.ValidationError("Not a date such as 2026-01-31.") from None


def _day(description: str, **options: Any) -> Day:
    return Day(**options, metadata={"description": description, "type": "string", "format": "date"})


class UsageQuerySchema(Schema):
    from_ = _day("The first day. The default is the last one", data_key="from", attribute="from")
    to = _day(f"The last day, at most {MAX_DAYS} days in all. The default is today")


def _count(description: str = "") -> fields.Integer:
    return fields.Integer(required=True, metadata={"description": description})


def _amount(description: str, **options: Any) -> fields.Float:
    return fields.Float(required=True, metadata={"description": description}, **options)


class ModelUsageSchema(ma.Schema):
    model = fields.String(
        required=True,
        metadata={
            "description": "As the messages say. `unknown` if they do not; `other` for all models "
            "after the tenth of a day"
        },
    )
    messages = _count("Messages that say how many tokens they took")
    input_tokens = _count("Includes tokens that were read from or written to a cache")
    output_tokens = _count("Includes reasoning")
    told_cost = _amount("The sum of the costs in the messages; null without any", allow_none=True)
    priced_cost = _amount(
        "The tokens at the operator's present prices, null if there is no price", allow_none=True
    )


class DayUsageSchema(ma.Schema):
    day = fields.String(required=True, metadata={"format": "date"})
    requests = _count("Requests that were let through")
    refused_requests = _count("Requests that got 429")
    read_units = _amount("Of DynamoDB")
    write_units = _amount("Of DynamoDB")
    models = fields.List(fields.Nested(ModelUsageSchema), required=True)


class QuotasSchema(ma.Schema):
    requests_per_second = _amount("", allow_none=True)
    read_units_per_day = _amount("", allow_none=True)
    write_units_per_day = _amount("", allow_none=True)
    user_share = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "The percentage of each quota that one user may use"},
    )


class UsageSchema(ma.Schema):
    is_counted = fields.Boolean(
        required=True,
        metadata={"description": "Whether use is counted at present. If not, nothing is added"},
    )
    quotas = fields.Nested(
        QuotasSchema, required=True, metadata={"description": "null where there is none"}
    )
    days = fields.List(
        fields.Nested(DayUsageSchema),
        required=True,
        metadata={"description": "Each day of UTC, the earliest first"},
    )
