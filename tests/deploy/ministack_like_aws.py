"""Starts MiniStack with what it leaves out of AWS and the tests need. Run by the emulator's Python.

- API Gateway answers REQUEST_TOO_LARGE to a body of more than 10 MB.
  https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
- Lambda refuses a function whose role it does not know yet: the first NEW_ROLE_REFUSALS times.
- Each check of a permission is a line of the file IAM_LOG: access key, action and resource.
- AS_ON_AWS says where AWS checks another action, or a resource where MiniStack checks `*`.
"""

import json
import os
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.responses import error_response_json
from ministack.services import apigateway_v1, lambda_svc

MAX_PAYLOAD = 10 * 1024 * 1024

execute = apigateway_v1._execute_in_scope
create_function = lambda_svc._create_function
enforce = iam_evaluator.enforce
on_aws = json.loads(os.environ.get("AS_ON_AWS", "{}"))
refusals = int(os.environ.get("NEW_ROLE_REFUSALS", "0"))


async def execute_within_the_limit(
    request: Any,
    api_id: str,
    stage_name: str,
    method: str,
    path: str,
    headers: Any,
    body: Any,
    *rest: Any,
) -> Any:
    stage = apigateway_v1._stages_v1.get(api_id, {}).get(stage_name)
    if stage and len(body or b"") > MAX_PAYLOAD:
        request["stage"] = stage
        return apigateway_v1._gw_error("REQUEST_TOO_LARGE", "Request Too Long")
    return await execute(request, api_id, stage_name, method, path, headers, body, *rest)


def create_function_with_a_known_role(data: Any) -> Any:
    global refusals
    if refusals:
        refusals -= 1
        reason = "The role defined for the function cannot be assumed by Lambda."
        return error_response_json("InvalidParameterValueException", reason, 400)
    return create_function(data)


def enforce_and_note(
    key: str, action: str, service: str, region: str, resource_arn: str = "*", **rest: Any
) -> Any:
    action, resource_arn = on_aws.get(action, (action, resource_arn))
    resource_arn = resource_arn.replace(":rule/default/", ":rule/")
    if path := os.environ.get("IAM_LOG"):
        with Path(path).open("a") as log:
            log.write(json.dumps([key, action, resource_arn]) + "\n")
    return enforce(key, action, service, region, resource_arn=resource_arn, **rest)


apigateway_v1._execute_in_scope = execute_within_the_limit
lambda_svc._create_function = create_function_with_a_known_role
iam_evaluator.enforce = enforce_and_note

app.main()
