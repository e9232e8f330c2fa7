"""A network that loses answers, and counts requests."""

import httpx


class Lossy(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Passes requests on. `lose` says how many of the next answers get lost on their way back."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.lose = 0
        self._sync = httpx.HTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # A connection of its own, because the event loop may be another one next time.
        async with httpx.AsyncHTTPTransport(verify=False) as network:
            answer = await network.handle_async_request(request)
            await answer.aread()
        if self._lost(request):
            raise httpx.ReadError("the answer got lost")
        return answer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._sync.handle_request(request)
        if self._lost(request):
            answer.read()
            raise httpx.ReadError("the answer got lost")
        return answer

    def _lost(self, request: httpx.Request) -> bool:
        self.sent.append(f"{request.method} {request.url.path.partition('/api/v1/')[2]}")
        if not self.lose:
            return False
        self.lose -= 1
        return True

    def count(self) -> int:
        """Requests since the last call."""
        sent, self.sent = self.sent, []
        return len(sent)
