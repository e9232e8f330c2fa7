"""The calls to DynamoDB that the stores need.

A failed condition comes back as `ConditionFailed`. What another try may cure is tried again within
the request's time, and what only an operator can cure is not (`app.table.retries`): both end as
`Unavailable`. No call begins after the request's time.

Longer than other modules, because every call to DynamoDB is here.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from app.table import budget
from app.table.client import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NotConnected,
    TlsBroken,
    connect,
)
from app.table.database_time import DatabaseTime
from app.table.ids import Clock
from app.table.ranges import Range
from app.table.retries import (
    NO_ANSWER,
    THROTTLED,
    Retry,
    failed_conditions,
    operators_code,
    retryable_code,
)
from app.table.writes import Item, Value, Write, decode, encode

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Call = Literal[
    "get_item", "batch_get_item", "query", "scan", "put_item", "update_item", "delete_item"
]

BATCH = 25
"""BatchWriteItem's limit; BatchGetItem takes 100."""

PARALLEL_BATCHES = 8

ENTRIES_BEHIND_A_FILTER = 1_000
"""How many entries of an index a page looks at where the first one, as large as what was asked for,
was not enough because a filter left entries out."""

_SINGLE: dict[str, Call] = {"Put": "put_item", "Update": "update_item", "Delete": "delete_item"}

CALLS_THAT_WRITE = {"put_item", "update_item", "transact_write_items"}
"""Calls whose outcome matters when the answer is lost. Deleting twice is the same as once."""


CANNOT_BE_USED = "The database cannot be used at the moment. Nothing was written."
"""Why is for the operator, who finds it in the log."""


class ConditionFailed(Exception):
    """A write's condition did not hold; nothing of the transaction was written.

    `found` has, by the name of each write whose condition failed, the item as it is. An item that
    does not exist is an empty dict. `repeated` says that an earlier try of the same write got no
    answer, so `found` may be the result of this write itself.
    """

    def __init__(self, found: Mapping[str, Item], *, repeated: bool) -> None:
        super().__init__(f"condition failed: {', '.join(found)}")
        self.found = found
        self.repeated = repeated

    @property
    def item(self) -> Item:
        """The item found by a write that was alone."""
        [item] = self.found.values()
        return item


class Table:
    """One DynamoDB table. Every method may raise `Unavailable` when the time is used up."""

    def __init__(
        self,
        name: str,
        client: "DynamoDBClient | None" = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        database_time: Clock | None = None,
    ) -> None:
        """`database_time` takes the place of DynamoDB's own time (`app.table.database_time`): for
        tests that move their clock."""
        self.name = name
        self.client = client or connect()
        self.pause = sleep
        self._measured_time = DatabaseTime()
        self.database_time = database_time or self._measured_time

    def get(self, key: Mapping[str, str]) -> Item | None:
        """One item, strongly consistent."""
        answer = self._call("get_item", Key=encode(key), ConsistentRead=True)
        return decode(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Mapping[str, str]]) -> dict[str, Item]:
        """Items of one partition by their SK, each strongly consistent, in one call."""
        found: dict[str, Item] = {}
        wanted: Any = [encode(key) for key in keys]
        retry = Retry(self.pause, writes=False)
        while True:
            request = {self.name: {"Keys": wanted, "ConsistentRead": True}}
            answer = self._request("batch_get_item", RequestItems=request)
            for attributes in answer["Responses"][self.name]:
                item = decode(attributes)
                found[str(item["SK"])] = item
            wanted = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys")
            if not wanted:
                return found
            retry.wait(THROTTLED)

    def query(
        self,
        partition: str,
        between: Range,
        *,
        backwards: bool = False,
        limit: int | None = None,
        only: str | None = None,
    ) -> Iterator[list[Item]]:
        """The items of a partition between two sort keys, both included, strongly consistent: one
        list per DynamoDB page (1 MB) until nothing follows. `limit` bounds each page.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
        """
        low, high = between
        options: dict[str, Any] = {
            "KeyConditionExpression": "PK = :pk AND SK BETWEEN :low AND :high",
            "ExpressionAttributeValues": encode({":pk": partition, ":low": low, ":high": high}),
            "ConsistentRead": True,
            "ScanIndexForward": not backwards,
        }
        if limit:
            options["Limit"] = limit
        if only:
            options["ProjectionExpression"] = only
        return self._pages("query", options)

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
        """An index's items, one list per DynamoDB page. An index lags behind the table by moments.

        `before` bounds the sort key. `unless` is a condition with its values; items that meet it
        are left out.
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
        options["ExpressionAttributeValues"] = encode(values)
        if limit:
            options["Limit"] = limit
        return self._pages("query", options, later_limit=ENTRIES_BEHIND_A_FILTER if unless else 0)

    def scan(self, *, only: str) -> Iterator[list[Item]]:
        """The whole table, for `app.operations.check` alone: the service's role may not do this."""
        return self._pages("scan", {"ProjectionExpression": only, "ConsistentRead": True})

    def _pages(
        self, operation: Call, options: dict[str, Any], *, later_limit: int = 0
    ) -> Iterator[list[Item]]:
        """`later_limit` is the least limit of the pages after the first, if they have one."""
        while True:
            answer = self._call(operation, **options)
            yield [decode(attributes) for attributes in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return
            options = {**options, "ExclusiveStartKey": answer["LastEvaluatedKey"]}
            if later_limit and "Limit" in options:
                options["Limit"] = max(options["Limit"], later_limit)

    def execute(self, write: Write) -> Item:
        """Carries out one write from `app.table.writes`; an update gives the item as it is
        afterwards, any other an empty dict.

        Raises:
            ConditionFailed: with the item found, under the name `item`.
        """
        [(kind, parameters)] = write.items()
        wanted = {"ReturnValues": "ALL_NEW"} if kind == "Update" else {}
        answer = self._call(_SINGLE[kind], **parameters, **wanted)
        return decode(answer.get("Attributes", {}))

    def transact(self, writes: Mapping[str, Write]) -> None:
        """Carries out all of the writes or none. Their names are for `ConditionFailed.found`.

        The token makes DynamoDB recognise a repeated try of the same transaction for ten minutes,
        so one whose answer was lost is never carried out twice.
        https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html

        Raises:
            ConditionFailed
        """
        self._request(
            "transact_write_items",
            names=list(writes),
            TransactItems=[
                {kind: {**parameters, "TableName": self.name}}
                for write in writes.values()
                for kind, parameters in write.items()
            ],
            ClientRequestToken=str(uuid.uuid4()),
        )

    def delete_many(self, items: Sequence[Mapping[str, Value]]) -> None:
        """Deletes items by their keys, 25 per call and several calls at a time; returns when all
        are gone."""
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
            {"DeleteRequest": {"Key": encode({"PK": item["PK"], "SK": item["SK"]})}}
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

    def _request(
        self, operation: str, *, names: Sequence[str] = ("item",), **parameters: Any
    ) -> Any:
        """One call, tried again while that can help and the request's time allows. `names` are
        those of the writes in it."""
        retry = Retry(self.pause, writes=operation in CALLS_THAT_WRITE)
        send = getattr(self.client, operation)
        current = budget.current()
        current.check()
        while True:
            started = time.perf_counter()
            answer: Any = {}
            try:
                answer = send(**parameters, ReturnConsumedCapacity="TOTAL")
                return answer
            except ClientError as error:
                answer = error.response
                if (failed := failed_conditions(answer, names)) is not None:
                    found = {name: decode(item) for name, item in failed.items()}
                    raise ConditionFailed(found, repeated=retry.unknown) from None
                if code := operators_code(answer):
                    raise retry.given_up(code, CANNOT_BE_USED) from error
                if (code := retryable_code(answer)) is None:
                    raise
                retry.wait(code, error)
            # To botocore, TLS that breaks is a connection that was never made.
            except (HTTPClientError, TlsBroken) as error:
                retry.wait(NO_ANSWER, error)
            except NotConnected as error:
                retry.wait("NotConnected", error)
            except (
                BotoCoreError
            ) as error:  # nothing was sent: there are no credentials, or the like
                raise retry.given_up(type(error).__name__, CANNOT_BE_USED) from error
            finally:
                current.count(time.perf_counter() - started, answer)
                self._measured_time.note(answer)
