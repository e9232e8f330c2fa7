"""Lets synchronous and asynchronous methods share their logic.

The logic is a generator. It yields functions that take a client and send one request, and gets
what the request returns, or the error that it raises.
"""

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from session_store import AsyncClient, Client

T = TypeVar("T")
Steps = Generator[Callable[[Any], Any], Any, T]


class TwoClients:
    """Has a client for synchronous methods, one for asynchronous methods, or both."""

    def __init__(
        self, client: Client | AsyncClient, other: Client | AsyncClient | None = None
    ) -> None:
        clients = [each for each in (client, other) if each is not None]
        self._sync = next((each for each in clients if isinstance(each, Client)), None)
        self._async = next((each for each in clients if isinstance(each, AsyncClient)), None)

    def run(self, steps: Steps[T]) -> T:
        if self._sync is None:
            raise TypeError("This is a synchronous method. Give a session_store.Client, too.")
        try:
            call = next(steps)
            while True:
                try:
                    result = call(self._sync)
                except Exception as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def arun(self, steps: Steps[T]) -> T:
        if self._async is None:
            raise TypeError("This is an async method. Give a session_store.AsyncClient, too.")
        try:
            call = next(steps)
            while True:
                try:
                    result = await call(self._async)
                except Exception as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
