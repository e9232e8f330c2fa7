"""The clients of AWS: the only module that imports boto3 and botocore."""

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
    "in_one_line",
    "invoke",
]

REGION = ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None)
"""Where the region comes from, before the profile's. boto3 itself reads AWS_DEFAULT_REGION only,
unlike every other SDK and Lambda."""


class _PlainParser(JSONParser):
    """Takes DynamoDB's JSON as it is. botocore walks through every value with the service model,
    which changes nothing but binaries, and this table has none. The walk is two thirds of the CPU
    of a query for 1,000 items (docs/performance.md)."""

    def _handle_json_body(self, raw_body: bytes, shape: Any) -> Any:  # noqa: ARG002
        return self._parse_body_as_json(raw_body)  # type: ignore[attr-defined]


class _PlainParsers(ResponseParserFactory):
    def create_parser(self, protocol_name: str) -> JSONParser:  # noqa: ARG002
        return _PlainParser(**self._defaults)  # type: ignore[attr-defined]


def invoke(function: str, event: Any) -> None:
    """Has Lambda call a function with this event, and does not wait for it."""
    client = boto3.client("lambda", config=ClientConfig(connect_timeout=2, read_timeout=8))
    client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))


def connect(**options: Any) -> "DynamoDBClient":
    """A client with boto3's own endpoint, region and credentials.

    It never retries by itself: its retries would multiply with those of `app.table.retries`. It
    does not check parameters against the service model; the tests and DynamoDB do. A fixed user
    agent saves building one for each call, a tenth of the call's CPU.

    Raises:
        ConfigError: there is no region, or boto3's own settings are not usable.
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
    except (BotoCoreError, ValueError) as error:  # a profile, endpoint or region that is none
        raise ConfigError(f"no DynamoDB client with these AWS settings: {error}") from None
    # The endpoint is known by now and does not change. botocore would work it out for each call
    # from all of its parameters; without the rules it takes `client.meta.endpoint_url`.
    client._ruleset_resolver = None  # type: ignore[attr-defined]
    return client


def in_one_line(error: Exception) -> str | None:
    """What an operator can do about an error of AWS; None if it is not one."""
    if isinstance(error, NoCredentialsError):
        return "There are no AWS credentials: set AWS_PROFILE, or log in (aws sso login)."
    if isinstance(error, EndpointConnectionError):
        return f"{error} Is AWS_REGION right, and AWS_ENDPOINT_URL_DYNAMODB, if it is set?"
    if isinstance(error, ClientError):
        if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
            return (
                "There is no such table or index. Is SESSIONS_TABLE right? `table create` makes it."
            )
        told = error.response.get("Error", {})
        return f"AWS refused {error.operation_name}: {told.get('Code')}: {told.get('Message')}"
    return str(error) if isinstance(error, BotoCoreError) else None
