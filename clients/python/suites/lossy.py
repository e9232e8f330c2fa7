"""A network that loses answers, and counts requests."""

import httpx


class Lossy(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Passes requests on. `lose` says how many of the next answers get lost on their way back."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.lose = 0
        self._async, self._sync = httpx.AsyncHTTPTransport(), httpx.HTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._async.handle_async_request(request)
        if self._lost(request):
            await answer.aread()
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
