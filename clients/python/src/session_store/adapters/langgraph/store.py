"""LangGraph's long-term memory in the session store."""

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)

from session_store import AsyncClient, Client
from session_store._bodies import JSON
from session_store.adapters._langgraph.items import (
    Namespace,
    body_of,
    item_of,
    labels_of,
    name_of,
    prefix_of,
)
from session_store.adapters._langgraph.names import HASHED
from session_store.adapters.langgraph.filters import matches, matches_namespace
from session_store.adapters.langgraph.steps import Steps, TwoClients
from session_store.errors import NotFound, error_of
from session_store.models import Operation, Value
from session_store.models import Result as Outcome

PAGE, NAMES = 200, 1000
"""Values of a page, with and without their contents."""

OPERATIONS, TOGETHER = 100, 4_000_000
"""Items of a batch, and their bytes."""

Call = Callable[[Any], Any]


class SessionStoreStore(BaseStore):
    """Keeps the items of one user. Synchronous methods need a `Client`, asynchronous ones an
    `AsyncClient`.

    There is no vector index: as in InMemoryStore without one, the `query` of a search is ignored,
    and no item has a score. There is no TTL. Searches go in the order of the names. `created_at` is
    the time of the last put, as in InMemoryStore. A batch reads first and then writes. It is one
    request if it only gets up to 100 items, or only puts up to 100 items of 4 MB together.
    """

    def __init__(
        self, client: Client | AsyncClient, async_client: AsyncClient | None = None
    ) -> None:
        self._clients = TwoClients(client, async_client)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        return self._clients.run(_batch(list(ops)))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return await self._clients.arun(_batch(list(ops)))


@dataclass(frozen=True)
class Write:
    """A put, or a delete without `data`."""

    name: str
    data: bytes | None
    content_type: str = JSON

    @classmethod
    def of(cls, op: PutOp) -> "Write":
        name = name_of(op.namespace, op.key)
        if op.value is None:
            return cls(name, None)
        return cls(name, *body_of(op.namespace, op.key, op.value))

    @property
    def size(self) -> int:
        return len(self.data or b"")

    @property
    def operation(self) -> Operation:
        if self.data is None:
            return {"delete": self.name}
        data = base64.b64encode(self.data).decode()
        return {"put": self.name, "base64": data, "content_type": self.content_type}

    def upload(self, client: Any) -> Any:
        return client.values.upload(self.name, self.data, content_type=self.content_type)

    def delete(self, client: Any) -> Any:
        return client.values.delete(self.name)


def _batch(ops: Sequence[Op]) -> Steps[list[Result]]:
    results: list[Result] = [None] * len(ops)
    gets = {at: name_of(op.namespace, op.key) for at, op in enumerate(ops) if isinstance(op, GetOp)}
    # The last write to an item counts.
    puts = {(op.namespace, op.key): Write.of(op) for op in ops if isinstance(op, PutOp)}
    found = yield from _get(list(dict.fromkeys(gets.values())))
    for at, name in gets.items():
        value = found[name]
        results[at] = _item(value) if value else None
    for at, op in enumerate(ops):
        if isinstance(op, SearchOp):
            results[at] = yield from _search(op)
        elif isinstance(op, ListNamespacesOp):
            results[at] = yield from _namespaces(op)
    yield from _write(list(puts.values()))
    return results


def _get(names: Sequence[str]) -> Steps[dict[str, Value | None]]:
    found: dict[str, Value | None] = {}
    for start in range(0, len(names), OPERATIONS):
        wanted = names[start : start + OPERATIONS]
        if len(wanted) == 1:
            found[wanted[0]] = yield from _find(wanted[0])
            continue
        results = yield _request([{"get": name} for name in wanted])
        for name, result in zip(wanted, results, strict=True):
            if result.status == 413:  # no room in this answer
                found[name] = yield from _find(name)
            elif result.status == 404:
                found[name] = None
            else:
                found[name] = _checked(result).value
    return found


def _find(name: str) -> Steps[Value | None]:
    """By a list, which has the time in milliseconds. The headers of a value have seconds."""
    page = yield _list(name, 1, None)
    return next((value for value in page.values if value.name == name), None)


def _write(writes: Sequence[Write]) -> Steps[None]:
    """One request for each 100 items and 4 MB."""
    together: list[Write] = []
    size = 0
    for write in writes:
        if together and (len(together) == OPERATIONS or size + write.size > TOGETHER):
            yield from _send(together)
            together, size = [], 0
        together.append(write)
        size += write.size
    if together:
        yield from _send(together)


def _send(writes: Sequence[Write]) -> Steps[None]:
    if len(writes) > 1:
        for result in (yield _request([write.operation for write in writes])):
            _checked(result)
    elif writes[0].data is not None:
        yield writes[0].upload
    else:
        try:
            yield writes[0].delete
        except NotFound:
            return


def _search(op: SearchOp) -> Steps[list[SearchItem]]:
    found: list[SearchItem] = []
    cursor = None
    end = op.offset + op.limit
    while len(found) < end:
        size = PAGE if op.filter else min(PAGE, end - len(found))
        page = yield _list(prefix_of(op.namespace_prefix), size, cursor)
        items = map(_item, page.values)
        found += [each for each in items if not op.filter or matches(each.value, op.filter)]
        cursor = page.next_cursor
        if cursor is None:
            break
    return found[op.offset : end]


def _namespaces(op: ListNamespacesOp) -> Steps[list[Namespace]]:
    """Reads the names of all items under the labels that are known."""
    conditions = op.match_conditions or ()
    known: Namespace = ()
    for each in conditions:
        if each.match_type == "prefix":
            known = max(known, tuple(takewhile("*".__ne__, each.path)), key=len)
    names: dict[str, str] = {}
    cursor = None
    while True:
        page = yield _list(prefix_of(known), NAMES, cursor, names_only=True)
        names |= {value.name.rpartition("/")[0]: value.name for value in page.values}
        cursor = page.next_cursor
        if cursor is None:
            break
    hashed = [name for labels, name in names.items() if f"/{HASHED}" in labels]
    values = (yield from _get(hashed)) if hashed else {}
    read = {_item(value).namespace for value in values.values() if value}
    read |= {labels_of(labels) for labels, name in names.items() if name not in values}
    found = {
        namespace[: op.max_depth]
        for namespace in read
        if all(matches_namespace(namespace, each) for each in conditions)
    }
    return sorted(found)[op.offset : op.offset + op.limit]


def _item(value: Value) -> SearchItem:
    namespace, key, content = item_of(value)
    return SearchItem(
        namespace=namespace,
        key=key,
        value=content,
        created_at=value.updated_at,
        updated_at=value.updated_at,
    )


def _checked(result: Outcome) -> Outcome:
    if not result.ok:
        raise error_of(result.status, result.problem)
    return result


def _request(operations: Sequence[Operation]) -> Call:
    return lambda client: client.values.batch(operations)


def _list(prefix: str, limit: int, cursor: str | None, *, names_only: bool = False) -> Call:
    return lambda client: client.values.page(
        prefix, limit=limit, cursor=cursor, names_only=names_only
    )
