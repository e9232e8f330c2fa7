"""The AWS clients. This is the only module that imports boto3 and botocore."""

import json
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config as ClientConfig
from botocore.exceptions import (
    BotoCoreError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
)
from botocore.exceptions import ClientError as ClientError
from botocore.exceptions import ConnectionError as NotConnected
from botocore.exceptions import HTTPClientError as HTTPClientError
from botocore.exceptions import SSLError as TlsBroken
from botocore.parsers import JSONParser, ResponseParserFactory

from app import __version__
from app.config import ConfigError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = [
    "BotoCoreError",
    "ClientError",
    "HTTPClientError",
    "NotConnected",
    "TlsBroken",
    "connect",
    "operator_message",
    "invoke",
]

REGION = ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None)
"""Variables that set the region; they override the profile. boto3 alone would read only
AWS_DEFAULT_REGION, unlike Lambda and all other SDKs."""


class _PlainParser(JSONParser):
    """Parses DynamoDB's JSON without the service model. botocore converts every value by the model,
    which changes only binaries (`app.table.writes.decode` reads those). That conversion takes two
    thirds of the CPU time of a query for 1,000 items (docs/performance.md)."""

    def _handle_json_body(self, raw_body: bytes, shape: Any) -> Any:  # noqa: ARG002
        return self._parse_body_as_json(raw_body)  # type: ignore[attr-defined]


class _PlainParsers(ResponseParserFactory):
    def create_parser(self, protocol_name: str) -> JSONParser:  # noqa: ARG002
        return _PlainParser(**self._defaults)  # type: ignore[attr-defined]


def invoke(function: str, event: Any) -> None:
    """Invokes a Lambda function with this event, without waiting for it."""
    client = boto3.client("lambda", config=ClientConfig(connect_timeout=2, read_timeout=8))
    client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))


def connect(**options: Any) -> "DynamoDBClient":
    """A DynamoDB client. The endpoint, region and credentials come from boto3's usual sources.

    The client never retries: its retries would multiply with those of `app.table.retries`. It does
    not check parameters against the service model; the tests and DynamoDB do. A fixed user agent
    saves a tenth of each call's CPU time, because boto3 would build one for every call.

    Raises:
        ConfigError: there is no region, or boto3 rejects the AWS settings.
    """
    session = botocore.session.get_session({"region": REGION})
    session.register_component("response_parser_factory", _PlainParsers())
    config = ClientConfig(
        connect_timeout=2,
        read_timeout=8,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=50,
        tcp_keepalive=True,
        parameter_validation=False,
        user_agent=f"session-store/{__version__}",
    )
    try:
        client: DynamoDBClient = boto3.Session(botocore_session=session).client(
            "dynamodb", config=config, **options
        )
    except NoRegionError:
        raise ConfigError(
            "AWS_REGION is not set: the AWS region of the table, such as us-east-1"
        ) from None
    except (BotoCoreError, ValueError) as error:  # an invalid profile, endpoint or region
        raise ConfigError(f"the AWS settings are not valid: {error}") from None
    # Without the rules, botocore uses `client.meta.endpoint_url`. With them, it would work out the
    # endpoint again for each call, from all parameters, with the same result.
    client._ruleset_resolver = None  # type: ignore[attr-defined]
    return client


def operator_message(error: Exception) -> str | None:
    """One line for the operator about an AWS error and its remedy. None for other errors."""
    if isinstance(error, NoCredentialsError):
        return "There are no AWS credentials: set AWS_PROFILE, or log in (aws sso login)."
    if isinstance(error, EndpointConnectionError):
        return f"{error} Check AWS_REGION, and AWS_ENDPOINT_URL_DYNAMODB if it is set."
    if isinstance(error, ClientError):
        if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
            return "There is no such table or index. Check SESSIONS_TABLE, or run `table create`."
        refusal = error.response.get("Error", {})
        code, message = refusal.get("Code"), refusal.get("Message")
        return f"AWS refused {error.operation_name}: {code}: {message}"
    return str(error) if isinstance(error, BotoCoreError) else None
