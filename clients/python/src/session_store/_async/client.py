"""The client: a connection and the resources behind it."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, Self
from urllib.parse import quote

import httpx

from session_store._async.connection import AsyncConnection, connection
from session_store._async.messages import AsyncMessages
from session_store._async.sessions import AsyncSessions
from session_store._async.sources import AsyncSources, AsyncTenantSources
from session_store._async.values import AsyncValues
from session_store._bodies import segment
from session_store.in_process import BASE_URL, AsyncTransport, Service
from session_store.tokens import Token
from session_store.version import USER_AGENT

TIMEOUT = 30.0
"""Seconds of each try. API Gateway answers within 29."""


class AsyncClient:
    """Calls the session store as one user.

    `base_url` ends with `/api/v1`. `token` is a token, a function that returns the present one, or
    `ClientCredentials`. `timeout` is in seconds for each try; a request is tried up to `retries`
    times more. `transport` replaces the network, see `session_store.in_process`.

    Every method raises `ApiError` if the service refuses the request, and `ConnectionFailed` if
    there is no answer. Every write can be repeated without being carried out twice: POST requests
    and writes of values have an Idempotency-Key, which is made if none is given.
    """

    def __init__(
        self,
        base_url: str,
        token: Token,
        *,
        timeout: float = TIMEOUT,
        retries: int = 2,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._use(
            connection(
                base_url,
                token,
                timeout=timeout,
                retries=retries,
                transport=transport,
                user_agent=USER_AGENT,
            )
        )

    @classmethod
    def in_process(
        cls,
        service: Service,
        *,
        tenant: str,
        user: str,
        agent: str | None = None,
        scopes: Iterable[str] | None = None,
    ) -> Self:
        """Calls the service within this process, as a user whom the program has authenticated."""
        token = service.token(tenant, user, agent, scopes)
        return cls(BASE_URL, token, transport=AsyncTransport(service.app))

    def _use(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.sessions = AsyncSessions(connection)
        self.messages = AsyncMessages(connection)
        self.values = AsyncValues(connection, "values")
        """The user's own values."""
        self.tenant_values = AsyncValues(connection, "tenant/values")
        """Those of the tenant, with the scopes `tenant-values:read` and `tenant-values:write`."""
        self.sources = AsyncSources(connection)
        """From a source to the user's answers that cite it."""
        self.tenant_sources = AsyncTenantSources(connection)
        """To those of the tenant, with the scopes `sources:audit` and `sources:govern`."""

    def session_values(self, session_id: str) -> AsyncValues:
        """The values of a session."""
        return AsyncValues(self._connection, f"sessions/{segment(session_id)}/values")

    def acting_for(self, user: str) -> Self:
        """The same client for another user of the tenant. The token needs the scope
        `sessions:act-for-user`. Both share their connections; closing one closes the other."""
        other = object.__new__(type(self))
        own = self._connection
        headers = {**own.headers, "Act-For-User": quote(user, safe="")}
        other._use(AsyncConnection(own.http, own.auth, own.retries, headers))
        return other

    async def export(self) -> AsyncIterator[dict[str, Any]]:
        """All that is kept of the user, as JSON objects with a `type`: first `user`, then each
        `session` with its `message`s and `value`s, then the user's own `value`s."""
        cursor = None
        while True:
            answer = await self._connection.request("GET", "export", query={"cursor": cursor})
            lines = [json.loads(line) for line in answer.text.split("\n") if line]
            for line in lines[:-1]:
                yield line
            cursor = lines[-1]["next_cursor"]
            if cursor is None:
                return

    async def aclose(self) -> None:
        await self._connection.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
