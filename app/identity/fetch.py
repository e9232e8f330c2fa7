"""Fetches the issuer's key document, with a deadline, a maximum size and no redirects."""

import http.client
import io
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from typing import Any

from app import __version__

MAX_BYTES = 1_000_000

USER_AGENT = f"session-store/{__version__}"
"""Some proxies and firewalls refuse urllib's own user agent."""


class TooLarge(ValueError):
    """The document has more than `MAX_BYTES`."""


def fetch(url: str, seconds: float) -> bytes:
    """The document at `url`, which `app.config` has checked.

    A socket's timeout covers only one read, so an issuer that sends one byte per second would never
    exceed it. Therefore the timeout of each read is the time that remains of `seconds`.

    Raises:
        OSError, http.client.HTTPException, TooLarge: `kind_of` names each of them.
    """
    opener = urllib.request.build_opener(_Timed(time.monotonic() + seconds), _NoRedirect)
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT})  # noqa: S310
    try:
        with opener.open(request, timeout=seconds) as answer:
            document: bytes = answer.read(MAX_BYTES + 1)
            missing = answer.length  # None if there was no Content-Length
    except urllib.error.HTTPError as error:
        error.close()
        raise
    if len(document) > MAX_BYTES:
        raise TooLarge
    if missing:
        raise http.client.IncompleteRead(document, missing)
    return document


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, which could lead away from https."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Timed(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens http and https like urllib, but reads responses with a deadline."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._deadline = deadline

    def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:
        def connect(host: str, **more: Any) -> Any:
            connection = http_class(host, **more)
            connection.response_class = self._response
            return connection

        return super().do_open(connect, req, **options)

    def _response(self, sock: Any, *args: Any, **options: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_TimedSocket(sock, self._deadline), *args, **options)  # type: ignore[arg-type]


class _TimedSocket(io.RawIOBase):
    """The part of a socket that http.client reads responses from."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


_KINDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (TimeoutError, "timeout"),
    (socket.gaierror, "unknown_host"),
    (ssl.SSLError, "tls"),
    (ConnectionRefusedError, "connection_refused"),
    (TooLarge, "too_large"),
    ((json.JSONDecodeError, UnicodeDecodeError, RecursionError), "not_json"),
    ((OSError, http.client.HTTPException), "connection_broken"),
)


def kind_of(error: Exception) -> str:
    """A word for the log. The exception's text is not logged, because it may quote the issuer."""
    if isinstance(error, urllib.error.HTTPError):
        return f"redirect_{error.code}" if 300 <= error.code < 400 else f"http_{error.code}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return next((kind for types, kind in _KINDS if isinstance(cause, types)), "failed")
