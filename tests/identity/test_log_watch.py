"""The watch over the log sees what it should: it is no use if it never could."""

import logging

import pytest

from app import logs
from tests.identity.issuer import Issuer, alice, asymmetric, public_jwk, write
from tests.log_watch import MARKER, faults, watched
from tests.people import Client, make_token, problem


@pytest.fixture(scope="module")
def table(module_table):
    """One for all tests here: they look at what changed, not at all there is."""
    return module_table


def line(**fields):
    record = logging.makeLogRecord({"levelname": "INFO", "msg": "request", "fields": fields})
    return logs.JsonFormatter().format(record)


@pytest.mark.parametrize(
    "fields",
    [
        {"token": "eyJhbGciOiJIUzI1NiJ9.e30.x"},
        {"user": "eyJhbGciOiJIUzI1NiJ9"},
        {"path": "/api/v1/sessions?q=1"},
        {"content": MARKER},
        {"content": "anything"},
        {"route": "two words"},
        {"error_code": f"said {MARKER}"},
        {"frames": ["what somebody said"]},
        {"status": "200 with words"},
        {"headers": {"Authorization": "Bearer x"}},
    ],
    ids=str,
)
def test_a_line_with_something_of_a_token_or_a_message_is_found(fields):
    assert faults(line(**fields))
    with watched() as found:
        logs.log.warning("request", extra={"fields": fields})
    assert found
    assert "test_a_line_with_something" in found[0], "it says which test"


def test_another_librarys_line_is_looked_through_too():
    with watched() as found:
        logging.getLogger("somebody.elses").warning("sent eyJhbGciOiJIUzI1NiJ9")
        logging.getLogger("somebody.elses").warning("all is well")
    assert len(found) == 1


def test_what_a_watch_within_the_runs_watch_finds_is_its_own():
    with watched() as outer:
        with watched() as inner:
            logs.log.warning("eyJhbGciOiJIUzI1NiJ9")
        assert (len(outer), len(inner)) == (0, 1)
        logs.log.warning("eyJhbGciOiJIUzI1NiJ9")
    assert (len(outer), len(inner)) == (1, 1)


def test_the_lines_of_real_requests_are_in_order_whatever_was_sent(make_app, keys):
    """Contents, titles, metadata, tokens good and bad, cursors, keys, headers and broken bodies."""
    with watched() as found, Issuer(public_jwk(keys.rsa, "r")) as issuer:
        app = make_app()
        person = Client(app, make_token("acme", "alice"))
        session_id = person.create_session(title=MARKER, metadata={"a": MARKER})["session_id"]
        person.append(session_id, MARKER, metadata={"m": MARKER}, name=MARKER)
        person.get(f"/sessions/{session_id}?{MARKER}={MARKER}")
        person.get(f"/sessions?cursor={MARKER}")
        person.get(f"/sessions/{MARKER}")
        person.get(f"/nowhere/{MARKER}")
        person.put(f"/sessions/{session_id}", {MARKER: MARKER})
        person.post("/sessions", data=f'{{"{MARKER}"')
        person.post("/sessions", data=f'"{MARKER}"', headers={"Content-Type": MARKER})
        for name in ("X-Request-Id", "Idempotency-Key", "If-Match", "Act-For-User", "User-Agent"):
            sent = {name: f"{MARKER} {MARKER}"}
            person.post(f"/sessions/{session_id}/messages", {"content": MARKER}, headers=sent)
        for token in (MARKER, f"{person.token}x", make_token("acme", "", note=MARKER)):
            problem(Client(app, token).get("/sessions"), 401, "UNAUTHORIZED")
        other = make_app(jwt_jwks_url=issuer.url)
        token = write({"alg": "RS256", "kid": "r"}, alice(), asymmetric(keys.rsa, "RS256"))
        assert Client(other, token).get("/sessions").status_code == 200
        issuer.stop()
        Client(other, token.replace(".", "x.", 1)).get("/sessions")
        person.delete(f"/sessions/{session_id}")
    assert found == []


def test_a_fault_inside_logs_neither_the_token_nor_what_was_said(make_app):
    """The texts of exceptions quote values; so their texts stay out."""
    with watched() as found:
        app = make_app()

        def fail() -> None:
            raise ValueError(f"could not handle {MARKER}, Bearer {make_token('acme', 'alice')}")

        app.add_url_rule("/api/v1/fail", "fail", fail)
        problem(Client(app, make_token("acme", "alice")).get("/fail"), 500, "INTERNAL_ERROR")
    assert found == []
