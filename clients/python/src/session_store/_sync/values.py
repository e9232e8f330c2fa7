"""Values, as methods."""

from collections.abc import Iterable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import IO, Any

from session_store._bodies import OCTETS, VALUE_TYPE, Upload, encode, is_json, value_path
from session_store._retries import new_key
from session_store._sync.connection import Connection
from session_store.errors import NotFound
from session_store.models import Json, Operation, Order, Result, Value, ValuePage


class Values:
    """The values of one place: a session, the user or the tenant. An etag is without quotes."""

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection, self._path = connection, path

    def get(self, name: str) -> Value:
        """
        Raises:
            NotFound: there is no value of this name, or no such session.
        """
        answer = self._connection.request(
            "GET", self._of(name), headers={"Accept": f"{OCTETS}, */*"}
        )
        content_type = answer.headers[VALUE_TYPE]
        return Value(
            name=name,
            content_type=content_type,
            etag=answer.headers["ETag"].strip('"'),
            size=len(answer.content),
            updated_at=parsedate_to_datetime(answer.headers["Last-Modified"]),
            content=answer.json() if is_json(content_type) else answer.content,
        )

    def find(self, name: str) -> Value | None:
        """The value, or None if there is none, or no such session."""
        try:
            return self.get(name)
        except NotFound:
            return None

    def put(
        self,
        name: str,
        content: Json,
        *,
        if_match: str | None = None,
        only_new: bool = False,
        idempotency_key: str | None = None,
    ) -> Value:
        """Writes JSON. With `if_match` only over the value of this etag, with `only_new` only if
        there is none (else 412 `VALUE_CHANGED`). The answer is without the content."""
        return self._put(
            name,
            Upload(encode(content)),
            "application/json",
            if_match,
            only_new,
            idempotency_key,
        )

    def upload(
        self,
        name: str,
        data: bytes | bytearray | memoryview | IO[bytes] | Iterable[bytes],
        *,
        content_type: str = OCTETS,
        if_match: str | None = None,
        only_new: bool = False,
        idempotency_key: str | None = None,
    ) -> Value:
        """Writes bytes of any type, up to 3 MB. They are sent in chunks as they are read. A request
        with an iterator is not sent again if it fails."""
        return self._put(name, Upload(data), content_type, if_match, only_new, idempotency_key)

    def _put(
        self,
        name: str,
        upload: Upload,
        content_type: str,
        if_match: str | None,
        only_new: bool,
        idempotency_key: str | None,
    ) -> Value:
        plain = is_json(content_type)
        answer = self._connection.request(
            "PUT",
            self._of(name),
            upload=upload,
            headers={
                "Content-Type": content_type if plain else OCTETS,
                VALUE_TYPE: None if plain else content_type,
                "If-Match": _quoted(if_match),
                "If-None-Match": "*" if only_new else None,
            },
            key=idempotency_key or new_key(),
        )
        return Value.of(answer.json())

    def patch(self, name: str, patch: Json, *, if_match: str | None = None) -> Value:
        """Merges into a JSON value (RFC 7396). The answer is without the content."""
        answer = self._connection.request(
            "PATCH", self._of(name), json=patch, headers={"If-Match": _quoted(if_match)}
        )
        return Value.of(answer.json())

    def delete(self, name: str, *, if_match: str | None = None) -> None:
        """
        Raises:
            NotFound: there is no value of this name, or no such session.
        """
        headers = {"If-Match": _quoted(if_match)}
        self._connection.request("DELETE", self._of(name), headers=headers)

    def list(
        self,
        prefix: str = "",
        *,
        order: Order = "asc",
        names_only: bool = False,
        limit: int | None = None,
    ) -> Iterator[Value]:
        """All values whose names begin with `prefix`, in the order of the names' bytes. `limit` is
        the size of a page."""
        cursor = None
        while True:
            page = self.page(prefix, order=order, names_only=names_only, limit=limit, cursor=cursor)
            for value in page.values:
                yield value
            cursor = page.next_cursor
            if cursor is None:
                return

    def page(
        self,
        prefix: str = "",
        *,
        order: Order = "asc",
        names_only: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ValuePage:
        query: dict[str, Any] = {"order": order, "limit": limit, "cursor": cursor}
        query |= {"prefix": prefix or None, "names_only": names_only or None}
        body = (self._connection.request("GET", self._path, query=query)).json()
        return ValuePage(
            values=tuple(Value.of(each) for each in body["values"]),
            next_cursor=body["next_cursor"],
        )

    def delete_all(self, prefix: str = "") -> int:
        """Deletes all values whose names begin with `prefix`. Returns how many."""
        query = {"prefix": prefix} if prefix else {"all": "true"}
        bodies = self._connection.repeat("DELETE", self._path, query=query)
        return sum(body["deleted_values"] for body in bodies)

    def batch(
        self,
        operations: Sequence[Operation],
        *,
        atomic: bool = False,
        idempotency_key: str | None = None,
    ) -> tuple[Result, ...]:
        """Carries out up to 100 operations in order. Each has its result; one that fails does not
        raise, and does not stop the others. With `atomic` all or none are carried out, and a failed
        precondition raises."""
        body: dict[str, Any] = {"operations": operations, "atomic": atomic}
        answer = self._connection.request(
            "POST", f"{self._path}/batch", json=body, key=idempotency_key
        )
        return tuple(Result.of(each) for each in answer.json()["results"])

    def _of(self, name: str) -> str:
        return f"{self._path}/{value_path(name)}"


def _quoted(etag: str | None) -> str | None:
    return etag if etag is None or etag == "*" else f'"{etag}"'
