"""Limits the requests per second that API Gateway lets through to a stage, before the function is
called. Zappa has no setting for it, so `./scripts/deploy` runs this.

python -m deploy.throttling STAGE
"""

import sys

from deploy.stage import Stage, aws_errors_in_one_line

EVERY_METHOD = "/*/*/throttling"
"""https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateStage-Patch"""


def throttle(stage: Stage) -> None:
    """Applies `throttling` in zappa_settings.json. Without it, the account's limits apply. It can
    be repeated. Zappa's updates do not change it."""
    limits = stage.settings.get("throttling")
    if not limits:
        print(f"{stage.name} has no throttling in zappa_settings.json: nothing was changed.")
        return
    values = {"rateLimit": limits["requests_per_second"], "burstLimit": limits["burst"]}
    stage.client("apigateway").update_stage(
        restApiId=stage.api,
        stageName=stage.name,
        patchOperations=[
            {"op": "replace", "path": f"{EVERY_METHOD}/{name}", "value": str(value)}
            for name, value in values.items()
        ],
    )
    print(
        f"API Gateway lets through {limits['requests_per_second']} requests per second to "
        f"{stage.name}, and {limits['burst']} at once."
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with aws_errors_in_one_line():
        throttle(Stage(sys.argv[1]))
