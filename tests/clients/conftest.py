"""The Python client, against the app over real HTTP."""

from collections.abc import Callable, Iterator
from inspect import isasyncgen, iscoroutine
from typing import Any

import anyio.from_thread
import httpx
import pytest

import session_store
from tests.people import make_token

ALL_SCOPES = (
    "sessions:read sessions:write sessions:import sessions:act-for-user "
    "tenant-values:read tenant-values:write sources:audit sources:govern"
)


class Blocking:
    """An asynchronous client or resource as a synchronous one, so that a test runs with both."""

    def __init__(self, target: Any, portal: anyio.from_thread.BlockingPortal) -> None:
        self._target, self._portal = target, portal

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return self._call(found) if callable(found) else Blocking(found, self._portal)

    def _call(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            made = method(*arguments, **options)
            if iscoroutine(made):
                return self._portal.call(lambda: made)
            if isasyncgen(made):
                return self._each(made)
            return Blocking(made, self._portal)

        return call

    def _each(self, items: Any) -> Iterator[Any]:
        while True:
            try:
                yield self._portal.call(items.__anext__)
            except StopAsyncIteration:
                return


class Lossy:
    """Passes requests on. `faults` has what is to happen to the next ones: "lost" loses the answer,
    a response takes its place, None passes it on."""

    def __init__(self) -> None:
        self.faults: list[str | httpx.Response | None] = []
        self.sent: list[httpx.Request] = []
        self._inner = httpx.HTTPTransport()

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, httpx.Response):
            return fault
        answer = self._inner.handle_request(request)
        if fault == "lost":
            answer.read()
            answer.close()
            raise httpx.ReadError("the connection broke")
        return answer


class LossySync(httpx.BaseTransport):
    def __init__(self, lossy: Lossy) -> None:
        self.lossy = lossy

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.lossy.handle(request)


class LossyAsync(httpx.AsyncBaseTransport):
    def __init__(self, lossy: Lossy) -> None:
        self.lossy = lossy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        sent = httpx.Request(request.method, request.url, headers=request.headers, content=content)
        answer = await anyio.to_thread.run_sync(self.lossy.handle, sent)
        if not hasattr(answer, "_content"):
            await anyio.to_thread.run_sync(answer.read)
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content)
        )


@pytest.fixture
def lossy() -> Lossy:
    return Lossy()


@pytest.fixture(params=["sync", "async"])
def connect(
    request: pytest.FixtureRequest, address: str, lossy: Lossy
) -> Iterator[Callable[..., Any]]:
    """Makes clients of this half: `connect(token)`, Alice's with every scope by default."""
    alice = make_token("acme", "alice", scope=ALL_SCOPES)
    url = f"{address}/api/v1"
    if request.param == "sync":
        yield lambda token=alice, **options: session_store.Client(
            url, token, transport=LossySync(lossy), **options
        )
        return
    with anyio.from_thread.start_blocking_portal() as portal:
        yield lambda token=alice, **options: Blocking(
            session_store.AsyncClient(url, token, transport=LossyAsync(lossy), **options), portal
        )


@pytest.fixture
def store(connect: Callable[..., Any]) -> Any:
    return connect()


@pytest.fixture
def session(store: Any) -> str:
    made: str = store.sessions.create(domain_id="clients").session_id
    return made
