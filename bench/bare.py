"""The smallest possible Python service: takes a request, makes the boto3 calls, answers.

The throughput benchmark runs it under gunicorn with the same workers as the service.
"""

import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config


@cache
def client() -> Any:
    return boto3.client("dynamodb", config=Config(max_pool_connections=50))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    calls = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    answers = [getattr(client(), xform_name(name))(**parameters) for name, parameters in calls]
    for answer in answers:
        del answer["ResponseMetadata"]
    body = json.dumps(answers).encode()
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return [body]
