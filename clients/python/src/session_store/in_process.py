"""The service within this process, for a program that has its own AWS credentials.

A Lambda function or a worker calls the same API as over HTTP, with the same checks, but with no
network between. Needs the distribution `session-store-server`.
"""

import secrets
from collections.abc import Callable, Iterable
from typing import Any

import anyio.to_thread
import httpx

from session_store.errors import SessionStoreError

BASE_URL = "http://in-process/api/v1"

TOKEN_SECONDS = 300


class Service:
    """Make one for the whole process: it keeps the connections to DynamoDB.

    `table` is the table's name. The settings are those of the service, such as
    `retention_days=30`. boto3 finds the region and the credentials where it always does.
    """

    def __init__(self, table: str, **settings: Any) -> None:
        try:
            from session_store_server.config import Config
            from session_store_server.factory import create_app
            from session_store_server.identity.dev_tokens import sign
        except ImportError as error:
            raise SessionStoreError("Install session-store-server to run the service.") from error
        quiet = {"log_level": "WARNING"}  # the log goes to stdout
        self._config = Config(
            sessions_table=table, jwt_secret=secrets.token_urlsafe(48), **quiet | settings
        )
        self._sign = sign
        self.app = create_app(self._config)
        """The WSGI app."""

    def token(
        self, tenant: str, user: str, agent: str | None = None, scopes: Iterable[str] | None = None
    ) -> Callable[[], str]:
        """Signs tokens of this user with a secret that never leaves the process. The program must
        have authenticated the user itself. Without `scopes`, sessions can be read and written."""
        scope = None if scopes is None else " ".join(scopes)

        def sign() -> str:
            return str(
                self._sign(
                    self._config, tenant, user, expires_in=TOKEN_SECONDS, scope=scope, agent=agent
                )
            )

        return sign


Transport = httpx.WSGITransport
"""Of a synchronous client."""


class AsyncTransport(httpx.AsyncBaseTransport):
    """Of an asynchronous client. The app runs in a thread, because WSGI blocks."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.WSGITransport(app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        plain = httpx.Request(request.method, request.url, headers=request.headers, content=content)

        def handle() -> httpx.Response:
            answer = self._inner.handle_request(plain)
            body = answer.read()
            return httpx.Response(answer.status_code, headers=answer.headers, content=body)

        return await anyio.to_thread.run_sync(handle)
