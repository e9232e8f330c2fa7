"""Clients and figures for the tests of quotas."""

from typing import Any

import flask
from werkzeug.test import TestResponse

from tests.people import Client, make_token


class Closing(Client):
    """Closes each response, as a server does once it has been sent. Then counters are exchanged."""

    def request(self, method: str, path: str, **options: Any) -> TestResponse:
        answer = super().request(method, path, **options)
        answer.get_data()
        answer.close()
        return answer


def person(app: flask.Flask, tenant: str = "acme", user: str = "alice", **claims: Any) -> Closing:
    return Closing(app, make_token(tenant, user, **claims))


def admin(app: flask.Flask, tenant: str = "acme") -> Closing:
    """May see what the tenant used, and nothing else."""
    return person(app, tenant, "admin", scope="tenant:usage")


def report(app: flask.Flask, tenant: str = "acme", query: str = "") -> Any:
    """What the table knows: use that has not been flushed is not in it."""
    answer = admin(app, tenant).get(f"/tenant/usage{query}")
    assert answer.status_code == 200, answer.text
    return answer.json


def passed(client: Client, count: int, path: str = "/sessions") -> int:
    """How many of `count` requests were let through. The others got 429."""
    answers = [client.get(path).status_code for _ in range(count)]
    assert set(answers) <= {200, 429}
    return answers.count(200)
