"""The elements of Chainlit's threads: their bytes in values, and the route that shows them."""

import base64
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import anyio
from chainlit.element import Element, ElementDict

from session_store._async.values import AsyncValues
from session_store.adapters._chainlit_records import digest, element_name, exact, strict
from session_store.models import Operation

PATH = "/session-store/element"

PART = 2_500_000
"""Bytes. The last part is sent as base64 in one request with the element."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "script-src 'none'",
    "Cache-Control": "private, no-cache",
}
"""The content may come from anybody, and is shown under the application's own origin."""


async def content_of(element: Element) -> bytes | None:
    """None if the element is elsewhere, at its `url`."""
    if element.path:
        return await anyio.Path(element.path).read_bytes()
    content = element.content
    return content.encode() if isinstance(content, str) else content


async def put(values: AsyncValues, element: Element, content: bytes | None) -> None:
    """In one request up to `PART` bytes. Of larger content, the element comes last."""
    record: dict[str, Any] = {**element.to_dict(), "mime": element.mime}
    operations: list[Operation] = []
    if content is not None:
        record["mime"] = element.mime or "application/octet-stream"
        record["objectKey"] = folder = f"files/{digest(element.id)}/"
        parts = [content[at : at + PART] for at in range(0, len(content), PART)] or [b""]
        for number, part in enumerate(parts[:-1]):
            await values.upload(f"{folder}{number:06}", part)
        last = base64.b64encode(parts[-1]).decode()
        operations.append({"put": f"{folder}{len(parts) - 1:06}", "base64": last})
        record["parts"] = len(parts)
    operations.append({"put": element_name(element.id), "json": strict(record)})
    await values.batch(operations, atomic=True)


async def delete(values: AsyncValues, element_id: str) -> None:
    await values.delete_all(f"files/{digest(element_id)}/")
    await values.batch([{"delete": element_name(element_id)}])


def element_of(stored: Any, *, served: bool) -> ElementDict:
    """With the address of its bytes, if they are stored and `served`."""
    element = exact(stored)
    parts = element.pop("parts", None)
    if parts and served:
        root = os.getenv("CHAINLIT_PARENT_ROOT_PATH", "") + os.getenv("CHAINLIT_ROOT_PATH", "")
        query = urlencode({"thread_id": element["threadId"], "element_id": element["id"]})
        element["url"] = f"{root.rstrip('/')}{PATH}?{query}"
    found: ElementDict = element
    return found


async def chunks(values: AsyncValues, element_id: str, parts: int) -> AsyncIterator[bytes]:
    for number in range(parts):
        value = await values.get(f"files/{digest(element_id)}/{number:06}")
        content: bytes = value.content
        yield content
