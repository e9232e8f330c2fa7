"""The members of the report."""

from collections.abc import Mapping
from typing import Any

from app.config import Config
from app.quotas.report import DayUse, ModelUse

Prices = Mapping[str, tuple[float, float]]
"""By model, per million tokens: of the input, and of the output."""


def quota_members(config: Config) -> dict[str, Any]:
    return {
        "requests_per_second": config.quota_tenant_requests_per_second,
        "read_units_per_day": config.quota_tenant_read_units_per_day,
        "write_units_per_day": config.quota_tenant_write_units_per_day,
        "user_share": config.quota_user_share,
    }


def usage_members(day: DayUse, prices: Prices) -> dict[str, Any]:
    return {
        "day": day.day,
        "requests": day.requests,
        "refused_requests": day.refused_requests,
        "read_units": day.read_units,
        "write_units": day.write_units,
        "models": [_model(name, used, prices) for name, used in sorted(day.models.items())],
    }


def _model(name: str, used: ModelUse, prices: Prices) -> dict[str, Any]:
    priced = None
    if name in prices:
        of_input, of_output = prices[name]
        cost = used.input_tokens * of_input + used.output_tokens * of_output
        priced = round(cost / 1_000_000, 6)
    return {
        "model": name,
        "messages": used.messages,
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "told_cost": None if used.cost is None else used.cost / 1_000_000,
        "priced_cost": priced,
    }
