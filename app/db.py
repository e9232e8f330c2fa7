"""DynamoDB, as the stores need it: the only module that imports boto3.

Items are dicts of str and int. Failed conditions come back as `ConditionFailed`; what another try
may cure is tried again within the request's time (`app.retries`), and ends as `Unavailable`.
What a call looks like on the wire is for this module alone; what is asked is for the stores.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import boto3
import botocore.session
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnected
from botocore.parsers import JSONParser, ResponseParserFactory

from app import __version__, work
from app.retries import NO_ANSWER, THROTTLED, Retry, failed_conditions, retryable_code

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Value = str | int
Item = dict[str, Value]
Call = Literal["get_item", "batch_get_item", "query", "scan", "update_item", "delete_item"]

BATCH = 25
"""BatchWriteItem's limit; BatchGetItem takes 100."""

PARALLEL_BATCHES = 8

WRITES = {"update_item", "transact_write_items"}
"""Calls whose outcome matters when the answer is lost; deleting twice is the same as once."""


class ConditionFailed(Exception):
    """A write's condition did not hold; nothing of the transaction was written.

    `found` has for each write the item that failed its condition, or None where the condition held.
    An item that was not there at all is an empty dict. `repeated` says that an earlier try of the
    same write had got no answer, so what was found may be this write's own work.
    """

    def __init__(self, found: Sequence[Item | None], *, repeated: bool) -> None:
        super().__init__("condition failed")
        self.found = found
        self.repeated = repeated


class _PlainParser(JSONParser):
    """Takes DynamoDB's JSON as it is. botocore goes through every value with the service model, to
    turn it into what it was but for binaries, which this table has none of: two thirds of the CPU
    of a query for 1,000 items (docs/performance.md)."""

    def _handle_json_body(self, raw_body: bytes, shape: Any) -> Any:  # noqa: ARG002
        return self._parse_body_as_json(raw_body)  # type: ignore[attr-defined]


class _PlainParsers(ResponseParserFactory):
    def create_parser(self, protocol_name: str) -> JSONParser:  # noqa: ARG002
        return _PlainParser(**self._defaults)  # type: ignore[attr-defined]


def connect(**options: Any) -> "DynamoDBClient":
    """A client as this module wants it: endpoint, region and credentials are boto3's own business.

    It never tries again by itself, or its tries and ours would multiply. It does not check
    parameters against the service model: that finds nothing which the tests and DynamoDB would
    not. A fixed user agent saves putting one together for each call, a tenth of its CPU.
    """
    session = botocore.session.get_session()
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
    client: DynamoDBClient = boto3.Session(botocore_session=session).client(
        "dynamodb", config=config, **options
    )
    # The endpoint is known by now, and one. botocore would work it out anew for each call, out of
    # all its parameters; without the rules it takes `client.meta.endpoint_url`.
    client._ruleset_resolver = None  # type: ignore[attr-defined]
    return client


def put(key: Item | Mapping[str, str], attributes: Mapping[str, Value | None]) -> dict[str, Any]:
    """A write of a whole item for `Table.transact`; attributes that are None are left out."""
    item = {**key, **{name: value for name, value in attributes.items() if value is not None}}
    return {"Put": {"Item": _encode(item)}}


def put_if(
    key: Mapping[str, str],
    attributes: Mapping[str, Value | None],
    condition: str,
    values: Mapping[str, Value] | None = None,
) -> dict[str, Any]:
    write = put(key, attributes)
    write["Put"] |= _conditional(condition, values or {})
    return write


def update(
    key: Mapping[str, str],
    expression: str,
    values: Mapping[str, Value],
    condition: str | None = None,
) -> dict[str, Any]:
    """A change of one item for `Table.transact` or `Table.update`."""
    change: dict[str, Any] = {"Key": _encode(key), "UpdateExpression": expression}
    change |= _conditional(condition, values)
    return {"Update": change}


def _conditional(condition: str | None, values: Mapping[str, Value]) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    if values:
        parts["ExpressionAttributeValues"] = _encode(values)
    if condition:
        parts["ConditionExpression"] = condition
        parts["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return parts


def _encode(item: Mapping[str, Value]) -> dict[str, dict[str, str]]:
    return {
        name: {"S": value} if isinstance(value, str) else {"N": str(value)}
        for name, value in item.items()
    }


def _decode(attributes: Mapping[str, Any]) -> Item:
    return {
        name: value["S"] if "S" in value else int(value["N"]) for name, value in attributes.items()
    }


class Table:
    """One DynamoDB table. Every method may raise `Unavailable` when the time is used up."""

    def __init__(
        self,
        name: str,
        client: "DynamoDBClient | None" = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.client = client or connect()
        self.pause = sleep

    def get(self, key: Mapping[str, str]) -> Item | None:
        """Strongly consistent."""
        answer = self._call("get_item", Key=_encode(key), ConsistentRead=True)
        return _decode(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Mapping[str, str]]) -> dict[str, Item]:
        """Items of one partition by their SK, each strongly consistent, in one call."""
        found: dict[str, Item] = {}
        wanted: Any = [_encode(key) for key in keys]
        retry = Retry(self.pause, writes=False)
        while True:
            request = {self.name: {"Keys": wanted, "ConsistentRead": True}}
            answer = self._request("batch_get_item", RequestItems=request)
            for attributes in answer["Responses"][self.name]:
                item = _decode(attributes)
                found[str(item["SK"])] = item
            wanted = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys")
            if not wanted:
                return found
            retry.wait(THROTTLED)

    def query(
        self,
        partition: str,
        between: tuple[str, str],
        *,
        backwards: bool = False,
        limit: int | None = None,
        only: str | None = None,
    ) -> Iterator[list[Item]]:
        """The items of a partition between two sort keys, both included: a list a DynamoDB page
        (1 MB), each strongly consistent, until nothing follows. `limit` bounds the first page.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
        """
        low, high = between
        options: dict[str, Any] = {
            "KeyConditionExpression": "PK = :pk AND SK BETWEEN :low AND :high",
            "ExpressionAttributeValues": _encode({":pk": partition, ":low": low, ":high": high}),
            "ConsistentRead": True,
            "ScanIndexForward": not backwards,
        }
        if limit:
            options["Limit"] = limit
        if only:
            options["ProjectionExpression"] = only
        return self._pages(options)

    def query_index(
        self,
        index: str,
        partition: str,
        *,
        before: str | None = None,
        backwards: bool = False,
        limit: int | None = None,
        unless: tuple[str, Mapping[str, Value]] | None = None,
    ) -> Iterator[list[Item]]:
        """An index's items, as `query`; an index lags behind the table by moments.

        `before` bounds the sort key; `unless` leaves out what meets a condition, with its values.
        """
        condition = f"{index}PK = :pk"
        values: dict[str, Value] = {":pk": partition}
        if before is not None:
            condition += f" AND {index}SK < :before"
            values[":before"] = before
        options: dict[str, Any] = {
            "IndexName": index,
            "KeyConditionExpression": condition,
            "ScanIndexForward": not backwards,
        }
        if unless:
            options["FilterExpression"] = f"NOT ({unless[0]})"
            values |= unless[1]
        options["ExpressionAttributeValues"] = _encode(values)
        if limit:
            options["Limit"] = limit
        return self._pages(options)

    def scan(self, *, only: str) -> Iterator[list[Item]]:
        """Everything in the table, for `app.check` alone: the service's role may not do this."""
        return self._pages({"ProjectionExpression": only, "ConsistentRead": True}, "scan")

    def _pages(self, options: dict[str, Any], operation: Call = "query") -> Iterator[list[Item]]:
        while True:
            answer = self._call(operation, **options)
            yield [_decode(attributes) for attributes in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return
            options["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def update(self, write: dict[str, Any]) -> Item:
        """Carries out one `update`; gives the item as it is afterwards.

        Raises:
            ConditionFailed: with the one item found.
        """
        return _decode(
            self._call("update_item", **write["Update"], ReturnValues="ALL_NEW")["Attributes"]
        )

    def transact(self, *writes: dict[str, Any]) -> None:
        """All of the writes or none.

        The token makes DynamoDB recognise a repeated try of the same transaction for ten minutes,
        so one whose answer was lost is never carried out twice.
        https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html

        Raises:
            ConditionFailed: with an entry for each write.
        """
        for write in writes:
            for action in write.values():
                action["TableName"] = self.name
        self._request(
            "transact_write_items", TransactItems=list(writes), ClientRequestToken=str(uuid.uuid4())
        )

    def delete(self, key: Mapping[str, str]) -> None:
        self._call("delete_item", Key=_encode(key))

    def delete_if(
        self, key: Mapping[str, str], condition: str, values: Mapping[str, Value]
    ) -> None:
        """
        Raises:
            ConditionFailed: with the one item found.
        """
        self._call("delete_item", Key=_encode(key), **_conditional(condition, values))

    def delete_many(self, items: Sequence[Mapping[str, Value]]) -> None:
        """By their keys, in batches of 25, several at a time; on return every one is gone."""
        batches = [items[i : i + BATCH] for i in range(0, len(items), BATCH)]
        if len(batches) <= 1:
            for batch in batches:
                self._delete_batch(batch)
            return
        pending = [
            self._pool.submit(copy_context().run, self._delete_batch, batch) for batch in batches
        ]
        for done in pending:
            done.result()

    def _delete_batch(self, items: Sequence[Mapping[str, Value]]) -> None:
        requests: Any = [
            {"DeleteRequest": {"Key": _encode({"PK": item["PK"], "SK": item["SK"]})}}
            for item in items
        ]
        retry = Retry(self.pause, writes=False)
        while requests:
            answer = self._request("batch_write_item", RequestItems={self.name: requests})
            requests = answer.get("UnprocessedItems", {}).get(self.name)
            if requests:
                retry.wait(THROTTLED)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(PARALLEL_BATCHES, thread_name_prefix="delete")

    def _call(self, operation: Call, **parameters: Any) -> Any:
        return self._request(operation, TableName=self.name, **parameters)

    def _request(self, operation: str, **parameters: Any) -> Any:
        """One call, tried again while that can help and the request's time allows."""
        retry = Retry(self.pause, writes=operation in WRITES)
        send = getattr(self.client, operation)
        current = work.current()
        while True:
            started = time.perf_counter()
            answer: Any = {}
            try:
                answer = send(**parameters, ReturnConsumedCapacity="TOTAL")
                return answer
            except ClientError as error:
                answer = error.response
                if (failed := failed_conditions(answer)) is not None:
                    found = [None if item is None else _decode(item) for item in failed]
                    raise ConditionFailed(found, repeated=retry.unknown) from None
                if (code := retryable_code(answer)) is None:
                    raise
                retry.wait(code, error)
            except NotConnected as error:
                retry.wait("NotConnected", error)
            except HTTPClientError as error:
                retry.wait(NO_ANSWER, error)
            finally:
                current.count(time.perf_counter() - started, answer)
