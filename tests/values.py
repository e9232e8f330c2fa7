"""The values of one place, and a client that uses them as one of the people."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from werkzeug.test import TestResponse

from tests.people import Client, make_token

PLACES = ("session", "user", "tenant")

SCOPES = "sessions:read sessions:write tenant-values:read tenant-values:write"
"""All that values need."""

JSON, BYTES, TEXT = "application/json", "application/octet-stream", "text/plain"

PART = 400_000
MOST = 3 * 1024 * 1024


@dataclass
class Values:
    """Options are headers: `if_match` is `If-Match`."""

    client: Client
    path: str

    def at(self, name: str) -> str:
        return f"{self.path}/{quote(name)}"

    def request(
        self, method: str, name: str, data: bytes | str | None = None, **headers: str
    ) -> TestResponse:
        sent = {header.replace("_", "-").title(): value for header, value in headers.items()}
        return self.client.request(method, self.at(name), data=data, headers=sent)

    def get(self, name: str, **headers: str) -> TestResponse:
        return self.request("GET", name, **headers)

    def put(
        self, name: str, data: bytes | str = "{}", content_type: str = JSON, **headers: str
    ) -> TestResponse:
        return self.request("PUT", name, data, content_type=content_type, **headers)

    def patch(self, name: str, data: bytes | str, **headers: str) -> TestResponse:
        return self.request("PATCH", name, data, **headers)

    def delete(self, name: str, **headers: str) -> TestResponse:
        return self.request("DELETE", name, **headers)

    def page(self, **query: Any) -> TestResponse:
        return self.client.get(f"{self.path}?{urlencode(query, quote_via=quote)}")

    def pages(self, **query: Any) -> Iterator[list[dict[str, Any]]]:
        """All pages of a list, by their cursors."""
        cursor: dict[str, str] = {}
        while True:
            answer = self.page(**query, **cursor)
            assert answer.status_code == 200, answer.text
            page = json.loads(answer.text)
            yield page["values"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def names(self, **query: Any) -> list[str]:
        return [value["name"] for page in self.pages(**query) for value in page]

    def delete_many(self, **query: Any) -> TestResponse:
        return self.client.delete(f"{self.path}?{urlencode(query, quote_via=quote)}")

    def batch(
        self, *operations: Any, headers: dict[str, str] | None = None, **body: Any
    ) -> TestResponse:
        return self.client.post(
            f"{self.path}/batch", {"operations": list(operations), **body}, headers=headers
        )


def values_of(client: Client, place: str, tenant: str = "acme", user: str = "alice") -> Values:
    """The values of a new session, of the user, or of the tenant, with a token for all of them."""
    client = Client(client.app, make_token(tenant, user, scope=SCOPES))
    if place == "session":
        return Values(client, f"/sessions/{client.create_session()['session_id']}/values")
    return Values(client, "/values" if place == "user" else "/tenant/values")
