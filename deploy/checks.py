"""Refuses settings with which a deployment would succeed, but the API would not work."""

import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def check(settings: dict[str, Any], function: str) -> None:
    """Exits with the reason, if there is one. `settings` are a stage's in zappa_settings.json."""
    if settings.get("cors"):
        sys.exit(
            "zappa_settings.json: cors cannot be used, because its preflight allows one origin. "
            "List the origins in CORS_ORIGINS (docs/identity.md)."
        )
    alias = _alias(settings)
    if alias and not _may_invoke(settings, f"{function}:{alias}"):
        sys.exit(
            f"With these settings API Gateway calls {function}:{alias}, which "
            f"{settings.get('attach_policy')} does not allow. Add its ARN to lambda:InvokeFunction "
            "there, or remove snap_start, provisioned_concurrency and apigateway_lambda_qualifier."
        )


def _alias(settings: dict[str, Any]) -> str | None:
    """The alias or version in Zappa's template."""
    if qualifier := settings.get("apigateway_lambda_qualifier"):
        return str(qualifier)
    if settings.get("snap_start") not in (None, "", "None"):
        return "snapstart"
    return "provisioned-concurrency" if settings.get("provisioned_concurrency") else None


def _may_invoke(settings: dict[str, Any], function: str) -> bool:
    policy = json.loads((ROOT / settings["attach_policy"]).read_text())
    arn = f"arn:aws:lambda:{settings['aws_region']}:123456789012:function:{function}"
    return any(
        statement["Effect"] == "Allow"
        and "lambda:InvokeFunction" in _listed(statement["Action"])
        and any(fnmatchcase(arn, resource) for resource in _listed(statement["Resource"]))
        for statement in policy["Statement"]
    )


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
