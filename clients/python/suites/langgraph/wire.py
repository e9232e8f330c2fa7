"""A way to the service on which requests are counted, and answers can be lost."""

import asyncio
from typing import Any, Self

import httpx

from session_store import AsyncClient, Client
from session_store.adapters.langgraph import SessionStoreSaver, SessionStoreStore
from suites import world


class Wire(httpx.BaseTransport, httpx.AsyncBaseTransport):
    def __init__(self, token: str) -> None:
        self.token = token
        self.requests: list[str] = []
        self.lose = 0
        """So many of the next answers are lost."""
        self.cut_after: int | None = None
        """After so many more requests, no more reach the service."""
        self._sync = httpx.HTTPTransport()
        self._async: dict[Any, httpx.AsyncHTTPTransport] = {}
        self.client = Client(world.URL, token, transport=self)
        self.async_client = AsyncClient(world.URL, token, transport=self)

    def __enter__(self) -> Self:  # type: ignore[override]
        return self

    def __exit__(self, *_: object) -> None:  # type: ignore[override]
        self._sync.close()

    def saver(self, **options: Any) -> SessionStoreSaver:
        return SessionStoreSaver(self.client, self.async_client, **options)

    def store(self) -> SessionStoreStore:
        return SessionStoreStore(self.client, self.async_client)

    def count(self) -> int:
        """Requests since the last call."""
        count = len(self.requests)
        self.requests.clear()
        return count

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._before(request)
        answer = self._sync.handle_request(request)
        answer.read()
        self._after()
        return answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._before(request)
        loop = asyncio.get_running_loop()
        transport = self._async.setdefault(loop, httpx.AsyncHTTPTransport())
        answer = await transport.handle_async_request(request)
        await answer.aread()
        self._after()
        return answer

    def _before(self, request: httpx.Request) -> None:
        if self.cut_after is not None:
            if self.cut_after == 0:
                raise httpx.ConnectError("cut")
            self.cut_after -= 1
        self.requests.append(f"{request.method} {request.url.path}")

    def _after(self) -> None:
        if self.lose:
            self.lose -= 1
            raise httpx.ReadError("lost")
