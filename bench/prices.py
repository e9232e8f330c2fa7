"""Dollars per million requests, from prices.json.

Lambda's time is an estimate: the CPU time measured here, scaled to the share of a CPU that comes
with its memory, plus a fixed time for each DynamoDB call. prices.json holds these assumptions.
"""

import json
from pathlib import Path
from typing import Any

PRICES: dict[str, Any] = json.loads(Path(__file__).with_name("prices.json").read_text())


def per_million(
    *, read_units: float, write_units: float, calls: float, cpu_ms: float, requests: int = 1
) -> dict[str, float]:
    """Of something that takes `requests` requests, with `calls` and `cpu_ms` in all of them."""
    dollars, function = PRICES["dollars"], PRICES["lambda"]
    database = (
        read_units * dollars["million_read_units"] + write_units * dollars["million_write_units"]
    )
    stretched = cpu_ms * max(1.0, function["mb_of_one_cpu"] / function["memory_mb"])
    milliseconds = stretched + calls * function["assumed_ms_per_dynamodb_call"]
    gigabyte_seconds = milliseconds / 1000 * function["memory_mb"] / 1024
    compute = (
        requests * dollars["million_lambda_requests"]
        + gigabyte_seconds * 1_000_000 * dollars["lambda_gb_second"]
    )
    gateway = requests * dollars["million_api_gateway_requests"]
    return {
        "dynamodb": database,
        "lambda": compute,
        "api_gateway": gateway,
        "total": database + compute + gateway,
    }
