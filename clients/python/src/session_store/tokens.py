"""Where the bearer token of each request comes from."""

import base64
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from inspect import isawaitable, iscoroutine
from typing import Any
from urllib.parse import quote

import httpx

from session_store.errors import TokenRefused

Token = str | Callable[[], str] | Callable[[], Awaitable[str]] | httpx.Auth
"""A token, a function that gives the present one, or for example `ClientCredentials`."""

EARLY = 60.0
"""Seconds before its end at which a token is no longer used."""


class ClientCredentials(httpx.Auth):
    """Gets tokens by RFC 6749 section 4.4, and a new one before the old one ends or when it is
    refused. May be shared by clients and threads.

    Raises:
        TokenRefused: on a request, if the token endpoint gives no token.
    """

    requires_response_body = True

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: str,
        *,
        scope: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._url = token_url
        self._credentials = (client_id, client_secret)
        self._asked = {"grant_type": "client_credentials", "scope": scope, "audience": audience}
        self._token, self._ends = "", 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        cached = self._token if time.monotonic() < self._ends else ""
        token = cached or self._read((yield self._request()))
        answer = yield _with(request, token)
        if answer.status_code == 401 and cached:
            yield _with(request, self._read((yield self._request())))

    def _request(self) -> httpx.Request:
        """RFC 6749 section 2.3.1 encodes both parts before it joins them."""
        joined = ":".join(quote(part, safe="") for part in self._credentials)
        basic = base64.b64encode(joined.encode()).decode()
        form = {name: value for name, value in self._asked.items() if value is not None}
        headers = {"Authorization": f"Basic {basic}", "Accept": "application/json"}
        return httpx.Request("POST", self._url, data=form, headers=headers)

    def _read(self, answer: httpx.Response) -> str:
        try:
            told: Any = answer.json()
            token = told["access_token"]
            ends_in = float(told.get("expires_in", 300))
        except (ValueError, TypeError, KeyError, AttributeError):
            error = f"The token endpoint answered {answer.status_code} without a token."
            raise TokenRefused(error) from None
        self._token, self._ends = str(token), time.monotonic() + ends_in - EARLY
        return self._token


class _Given(httpx.Auth):
    """A token, or a function that returns or awaits one."""

    def __init__(self, token: str | Callable[[], Any]) -> None:
        self._token = token

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._token() if callable(self._token) else self._token
        if iscoroutine(token):
            token.close()
            raise TypeError("An async function for the token needs an AsyncClient.")
        yield _with(request, token)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = self._token() if callable(self._token) else self._token
        yield _with(request, await token if isawaitable(token) else token)


def auth_of(token: Token) -> httpx.Auth:
    return token if isinstance(token, httpx.Auth) else _Given(token)


def _with(request: httpx.Request, token: str) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token}"
    return request
