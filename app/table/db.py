"""The calls to DynamoDB that the stores need.

A failed condition raises `ConditionFailed`. Temporary errors are retried within the request's time;
errors that only an operator can fix are not (`app.table.retries`). Both end as `Unavailable`.

This module is over 250 lines because all calls to DynamoDB, with their error handling, belong in
one place.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

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
"""Entries of an index that each page reads after the first, if a filter is in use. The first page
reads only as many as were asked for, and the filter may have left some of them out."""

_SINGLE: dict[str, Call] = {"Put": "put_item", "Update": "update_item", "Delete": "delete_item"}

CALLS_THAT_WRITE = {"put_item", "update_item", "delete_item", "transact_write_items"}
"""Calls whose outcome matters if the response is lost."""

CALLS_THAT_READ = {"get_item", "batch_get_item", "query", "scan"}
"""They use read units, all other calls write units."""

CANNOT_BE_USED = "The database cannot be used at the moment. Nothing was written."
"""The client gets no reason. It is in the log, for the operator."""


Result = TypeVar("Result")


class ConditionFailed(Exception):
    """The condition of a write did not hold. Nothing of the transaction was written.

    `found` maps the name of each failed write to its current item, or to an empty dict if there is
    no item. `repeated` is true if an earlier try of the same write got no response. `found` may
    then be the result of this very write.
    """

    def __init__(self, found: Mapping[str, Item], *, repeated: bool) -> None:
        super().__init__(f"condition failed: {', '.join(found)}")
        self.found = found
        self.repeated = repeated

    @property
    def item(self) -> Item:
        """The item that a single write found."""
        [item] = self.found.values()
        return item


class Table:
    """One DynamoDB table. Every method may raise `Unavailable`. No call begins after the budget's
    deadline."""

    def __init__(
        self,
        name: str,
        client: "DynamoDBClient | None" = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        database_time: Clock | None = None,
    ) -> None:
        """`database_time` replaces the time from DynamoDB's responses, for tests that set their own
        clock."""
        self.name = name
        self.client = client or connect()
        self.pause = sleep
        self._measured_time = DatabaseTime()
        self.database_time = database_time or self._measured_time

    def get(self, key: Mapping[str, str]) -> Item | None:
        """One item, by a strongly consistent read."""
        answer = self._call("get_item", Key=encode(key), ConsistentRead=True)
        return decode(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Mapping[str, str]]) -> dict[str, Item]:
        """Several items of one partition, by SK, in one call. Each read is strongly consistent."""
        return {str(item["SK"]): item for item in self.get_all(keys)}

    def get_all(self, keys: Sequence[Mapping[str, str]], *, once: bool = False) -> list[Item]:
        """Up to 100 items of any partitions, in any order, in one call. Those that do not exist are
        left out. Each read is strongly consistent. With `once`, the call is not retried."""
        found: list[Item] = []
        wanted: Any = [encode(key) for key in keys]
        retry = Retry(self.pause, writes=False, once=once)
        while True:
            request = {self.name: {"Keys": wanted, "ConsistentRead": True}}
            answer = self._request("batch_get_item", once=once, RequestItems=request)
            found += map(decode, answer["Responses"][self.name])
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
        after: str | None = None,
    ) -> Iterator[list[Item]]:
        """The items of a partition between two sort keys, both included. Strongly consistent.

        Yields one list per DynamoDB page (1 MB). `limit` is the most items of a page, not of all.
        `only` is a projection. `after` is the sort key to begin after, in either order.

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
        if after is not None:
            options["ExclusiveStartKey"] = encode({"PK": partition, "SK": after})
        return self._pages("query", options)

    def query_index(
        self,
        index: str,
        partition: str,
        *,
        since: str = "",
        before: str | None = None,
        backwards: bool = False,
        limit: int | None = None,
        later_limit: int = 0,
        unless: tuple[str, Mapping[str, Value]] | None = None,
        after: Mapping[str, str] | None = None,
    ) -> Iterator[list[Item]]:
        """Items of an index, one list per DynamoDB page. An index lags behind the table by moments.

        Only sort keys from `since` and less than `before` are read. `later_limit` raises `limit` on
        all pages but the first. `unless` is a condition with its values; items that meet it are
        left out. `after` is the entry to begin after, in either order: its keys in the table and in
        the index. It need not exist, but must be in the range.
        """
        condition = f"{index}PK = :pk"
        values: dict[str, Value] = {":pk": partition}
        if since and before is not None:
            # A key condition takes one range, which includes its end: the greatest text before it.
            condition += f" AND {index}SK BETWEEN :since AND :until"
            values |= {":since": since, ":until": before[:-1] + chr(ord(before[-1]) - 1) + "~"}
        elif since:
            condition += f" AND {index}SK >= :since"
            values[":since"] = since
        elif before is not None:
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
        if after:
            options["ExclusiveStartKey"] = encode(after)
        later_limit = ENTRIES_BEHIND_A_FILTER if unless else later_limit
        return self._pages("query", options, later_limit=later_limit)

    def scan(self, *, only: str) -> Iterator[list[Item]]:
        """All items, for `app.operations.check` only. The service's own role may not scan."""
        return self._pages("scan", {"ProjectionExpression": only, "ConsistentRead": True})

    def _pages(
        self, operation: Call, options: dict[str, Any], *, later_limit: int = 0
    ) -> Iterator[list[Item]]:
        """`later_limit` raises a smaller limit, on all pages but the first."""
        while True:
            answer = self._call(operation, **options)
            yield [decode(attributes) for attributes in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return
            options = {**options, "ExclusiveStartKey": answer["LastEvaluatedKey"]}
            if later_limit and "Limit" in options:
                options["Limit"] = max(options["Limit"], later_limit)

    def execute(self, write: Write, *, show_old: bool = False, once: bool = False) -> Item:
        """Carries out one write from `app.table.writes`. Returns the new item for an update. For a
        put, `show_old` returns what was there before, which is transferred, but costs no units.
        With `once`, it is not retried: an update that adds would add twice if the first answer was
        lost.

        Raises:
            ConditionFailed: its `item` is the item found.
        """
        [(kind, parameters)] = write.items()
        shown = "ALL_NEW" if kind == "Update" else "ALL_OLD" if show_old else "NONE"
        answer = self._call(_SINGLE[kind], **parameters, ReturnValues=shown, once=once)
        return decode(answer.get("Attributes", {}))

    def transact(self, writes: Mapping[str, Write]) -> None:
        """Carries out all writes or none. The names of the writes appear in
        `ConditionFailed.found`.

        With the token, DynamoDB recognises a repeated try of the same transaction for ten minutes.
        So a transaction whose response was lost is never carried out twice.
        https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html

        Raises:
            ConditionFailed: at least one condition did not hold.
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
        """Deletes items by their keys, 25 per call and up to 8 calls at a time. Returns when all
        are deleted."""
        keys = [encode({"PK": item["PK"], "SK": item["SK"]}) for item in items]
        self._in_batches([{"DeleteRequest": {"Key": key}} for key in keys])

    def put_many(self, items: Sequence[Item]) -> None:
        """Writes whole items, 25 per call and up to 8 calls at a time. Returns when all are
        written. They must have no conditions, so nobody else may write them at the same time."""
        requests = [{"PutRequest": {"Item": encode(item)}} for item in items]
        self._in_batches(requests)

    def in_parallel(self, calls: Sequence[Callable[[], Result]]) -> list[Result]:
        """Makes calls of this table, up to 8 at a time. Returns their results in order."""
        if len(calls) <= 1:
            return [call() for call in calls]
        pending = [self._pool.submit(copy_context().run, call) for call in calls]
        return [done.result() for done in pending]

    def _in_batches(self, requests: Sequence[Any]) -> None:
        batches = [requests[i : i + BATCH] for i in range(0, len(requests), BATCH)]
        self.in_parallel([partial(self._write_batch, batch) for batch in batches])

    def _write_batch(self, requests: Any) -> None:
        retry = Retry(self.pause, writes=False)
        while requests:
            answer = self._request("batch_write_item", RequestItems={self.name: requests})
            requests = answer.get("UnprocessedItems", {}).get(self.name)
            if requests:
                retry.wait(THROTTLED)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(PARALLEL_BATCHES, thread_name_prefix="batch")

    def _call(self, operation: Call, **parameters: Any) -> Any:
        return self._request(operation, TableName=self.name, **parameters)

    def _request(
        self,
        operation: str,
        *,
        names: Sequence[str] = ("item",),
        once: bool = False,
        **parameters: Any,
    ) -> Any:
        """One call. Temporary errors are retried until the budget's deadline, but not with `once`.
        `names` are the names of its writes."""
        retry = Retry(self.pause, writes=operation in CALLS_THAT_WRITE, once=once)
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
            except BotoCoreError as error:  # nothing was sent, for example without credentials
                raise retry.given_up(type(error).__name__, CANNOT_BE_USED) from error
            finally:
                current.count(
                    time.perf_counter() - started, answer, reads=operation in CALLS_THAT_READ
                )
                self._measured_time.note(answer)
