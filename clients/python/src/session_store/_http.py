"""The HTTP client behind a connection.

Connections belong to the event loop that has opened them. Frameworks run agents in loops of their
own, for example OpenAI's `Runner.run_sync` in that of a thread. So each loop has an HTTP client.
"""

from typing import Any
from weakref import WeakKeyDictionary

import anyio.lowlevel
import httpx


class Http:
    def __init__(self, **options: Any) -> None:
        self._client = httpx.Client(**options)

    def here(self) -> httpx.Client:
        return self._client

    def close(self) -> None:
        self._client.close()


class AsyncHttp:
    def __init__(self, **options: Any) -> None:
        self._options, self._closed = options, False
        self._clients: WeakKeyDictionary[Any, httpx.AsyncClient] = WeakKeyDictionary()

    def here(self) -> httpx.AsyncClient:
        """That of the running event loop."""
        if self._closed:
            raise RuntimeError("The client has been closed.")
        loop = _loop()
        if loop not in self._clients:
            # Reading the certificates takes longer than all the rest.
            if "verify" not in self._options:
                self._options["verify"] = httpx.create_ssl_context()
            self._clients[loop] = httpx.AsyncClient(**self._options)
        return self._clients[loop]

    async def aclose(self) -> None:
        """The connections of other loops end with them."""
        self._closed = True
        client = self._clients.pop(_loop(), None)
        if client:
            await client.aclose()


def _loop() -> Any:
    token = anyio.lowlevel.current_token()
    return getattr(token, "native_token", token)  # before anyio 4.11, the token is the loop
