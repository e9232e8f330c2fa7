"""The hooks that Zappa calls after it packs and after it deploys, also when it is run by hand."""

import sys
from pathlib import Path
from typing import Any

# `zappa` as a command does not have the project on its path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deploy import checks, gateway, package, roles  # noqa: E402


def after_packing(zappa: Any) -> None:
    """Nothing has been uploaded yet."""
    checks.check(zappa.stage_config, zappa.lambda_name)
    package.finish(zappa)
    # `zappa package` has no clients.
    if functions := getattr(zappa.zappa, "lambda_client", None):
        roles.wait_for_new_roles(functions)


def after_deploying(zappa: Any) -> None:
    gateway.set_up(zappa)
