"""Bodies of requests and answers: JSON in UTF-8, and the bytes of values."""

import io
import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import IO, Any
from urllib.parse import quote

JSON = "application/json"
OCTETS = "application/octet-stream"

VALUE_TYPE = "Value-Type"
"""API Gateway lets only `OCTETS` through as bytes. The own type of a value is in this header."""

CHUNK = 64 * 1024


def encode(value: Any) -> bytes:
    """UTF-8, because the service counts an escape as the six bytes it is. Half a surrogate pair has
    no UTF-8, so text with one is escaped.

    Raises:
        ValueError: NaN or Infinity, which JSON does not have.
    """
    options: dict[str, Any] = {"allow_nan": False, "separators": (",", ":")}
    try:
        return json.dumps(value, ensure_ascii=False, **options).encode()
    except UnicodeEncodeError:
        return json.dumps(value, **options).encode()


def segment(id_: str) -> str:
    """An id as a part of a path.

    Raises:
        ValueError: it is empty. The path would be that of another route.
    """
    if not id_:
        raise ValueError("The id is empty.")
    return _quoted(id_)


def value_path(name: str) -> str:
    return "/".join(map(_quoted, name.split("/")))


def _quoted(text: str) -> str:
    """Proxies resolve `.` and `..`, so these are escaped, too."""
    return text.replace(".", "%2E") if text in (".", "..") else quote(text, safe="")


def is_json(content_type: str) -> bool:
    """Also of types such as `application/geo+json`."""
    plain = content_type.partition(";")[0].strip().lower()
    return plain == JSON or plain.endswith("+json")


class _Source:
    """A body in chunks. A file is read again from where it was, so that the request can be
    repeated; an iterator cannot."""

    def __init__(self, data: Any) -> None:
        self._data = io.BytesIO(data) if isinstance(data, bytes | bytearray | memoryview) else data
        self._is_file = hasattr(self._data, "read")
        self.repeatable = self._is_file and self._data.seekable()
        self.length: int | None = None
        if self.repeatable:
            self._start = self._data.tell()
            self.length = self._data.seek(0, io.SEEK_END) - self._start

    def _chunks(self) -> Iterator[bytes]:
        if not self._is_file:
            yield from self._data
            return
        if self.repeatable:
            self._data.seek(self._start)
        while chunk := self._data.read(CHUNK):
            yield chunk


class Upload(_Source):
    def __init__(self, data: bytes | bytearray | memoryview | IO[bytes] | Iterable[bytes]) -> None:
        super().__init__(data)

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks()


class AsyncUpload(_Source):
    """Has no `__iter__`, because httpx would take it for a body of a synchronous request."""

    def __init__(
        self,
        data: bytes | bytearray | memoryview | IO[bytes] | Iterable[bytes] | AsyncIterable[bytes],
    ) -> None:
        super().__init__(data)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._data, AsyncIterable):
            async for chunk in self._data:
                yield chunk
        else:
            for chunk in self._chunks():
                yield chunk
