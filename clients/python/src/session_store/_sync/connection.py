"""Sends requests, again if that is safe and may help."""

import time
from collections.abc import Mapping
from typing import Any

import httpx

from session_store._bodies import JSON, Upload, encode
from session_store._retries import is_repeatable, new_key, pause
from session_store.errors import ConnectionFailed, error_of
from session_store.tokens import auth_of

NOTHING: Any = object()
"""No body. None is JSON's null."""

Headers = Mapping[str, str | None]
"""Those that are None are not sent."""


class Connection:
    def __init__(
        self, http: httpx.Client, auth: httpx.Auth, retries: int, headers: Mapping[str, str]
    ) -> None:
        self.http, self.auth, self.retries, self.headers = http, auth, retries, headers

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = NOTHING,
        upload: Upload | None = None,
        headers: Headers | None = None,
        key: str | None = None,
    ) -> httpx.Response:
        """
        Members of `query` that are None are not sent. `key` is the Idempotency-Key. If it is None,
        a POST gets one. All tries have the same.

        Raises:
            ApiError: the answer is a problem.
            ConnectionFailed: there was none.
        """
        sent = {**self.headers, **{name: v for name, v in (headers or {}).items() if v is not None}}
        if key is None and method == "POST":
            key = new_key()
        if key is not None:
            sent["Idempotency-Key"] = key
        content: bytes | Upload | None = upload
        if json is not NOTHING:
            content = encode(json)
            sent.setdefault("Content-Type", JSON)
        if upload is not None and upload.length is not None:
            sent["Content-Length"] = str(upload.length)
        retries = self.retries if upload is None or upload.repeatable else 0

        for retry in range(retries + 1):
            request = self.http.build_request(
                method, path, params=_given(query or {}), content=content, headers=sent
            )
            wait: float | None
            try:
                answer = self.http.send(request, auth=self.auth)
            except httpx.TransportError as error:
                failure: Exception = ConnectionFailed(f"{type(error).__name__}: {error}")
                failure.__cause__ = error
                wait = pause(retry, {})
            else:
                if answer.status_code < 400:
                    return answer
                failure = error_of(answer.status_code, _parsed(answer))
                repeatable = is_repeatable(answer.status_code, answer.headers)
                wait = pause(retry, answer.headers) if repeatable else None
            if wait is None or retry == retries:
                raise failure
            time.sleep(wait)
        raise AssertionError("retries is negative")

    def repeat(self, method: str, path: str, **options: Any) -> list[Any]:
        """Repeats the request as long as the answer is 202, which means that more is left to do.
        Returns the bodies of all answers."""
        bodies = []
        while True:
            answer = self.request(method, path, **options)
            bodies.append(answer.json())
            if answer.status_code != 202:
                return bodies
            time.sleep(pause(0, answer.headers) or 0)


def connection(
    base_url: str,
    token: Any,
    *,
    timeout: float,
    retries: int,
    transport: httpx.BaseTransport | None,
    user_agent: str,
) -> Connection:
    http = httpx.Client(
        base_url=base_url, timeout=timeout, transport=transport, headers={"User-Agent": user_agent}
    )
    return Connection(http, auth_of(token), retries, {})


def _given(query: Mapping[str, Any]) -> dict[str, str]:
    def text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    return {name: text(value) for name, value in query.items() if value is not None}


def _parsed(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
