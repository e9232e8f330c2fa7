"""A fault that only an operator can fix is a 503. Only the log has the reason."""

from collections.abc import Callable
from typing import Any

import pytest

from app.config import Config
from app.factory import create_app
from app.table import db
from tests.faults.proxy import Exchange, always, first, refused
from tests.people import SECRET, Client, problem

CODES = [
    "ExpiredTokenException",
    "ExpiredToken",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "RequestTimeTooSkewed",
    "RequestExpired",
    "IncompleteSignatureException",
    "MissingAuthenticationTokenException",
    "AccessDeniedException",
    "ResourceNotFoundException",
]


def requests(alice: Client) -> list[tuple[str, str, Any]]:
    session = alice.create_session()["session_id"]
    message = alice.append(session)["message_id"]
    path, said = f"/sessions/{session}", {"role": "user", "content": "x"}
    return [
        ("POST", "/sessions", {"domain_id": "d"}),
        ("GET", "/sessions", None),
        ("GET", path, None),
        ("PUT", path, {"title": "New"}),
        ("POST", f"{path}/messages", said),
        ("POST", f"{path}/messages/batch", {"messages": [said]}),
        ("GET", f"{path}/messages", None),
        ("GET", f"{path}/messages/{message}", None),
        ("DELETE", path, None),
        ("DELETE", "/sessions?confirm=all", None),
    ]


def is_told_to_the_operator_alone(answer: Any, logged: list[dict[str, Any]], code: str) -> None:
    problem(answer, 503, "STORE_UNAVAILABLE")
    assert answer.headers["Retry-After"]
    assert code not in answer.text
    assert "in time" not in answer.json["detail"]
    line = logged[-1]
    assert (line["message"], line["error"], line["db_failure"]) == ("request", 1, code)


@pytest.mark.parametrize("code", CODES)
def test_a_refusal_is_503_at_once_with_the_code_in_the_log(code, alice, far_alice, proxy, logged):
    for method, path, body in requests(alice):
        proxy.forget()
        proxy.plan = always(refused(code))
        is_told_to_the_operator_alone(far_alice.request(method, path, json=body), logged, code)
        assert len(proxy.calls) == 1


def test_without_credentials_a_request_is_503(engine, table, alice, logged, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    bare = db.Table(table.name, db.connect(endpoint_url=engine.url))
    app = create_app(Config(sessions_table=table.name, jwt_secret=SECRET), table=bare)
    for method, path, body in requests(alice):
        answer = Client(app, alice.token).request(method, path, json=body)
        is_told_to_the_operator_alone(answer, logged, "NoCredentialsError")


def test_a_refusal_after_a_lost_answer_leaves_the_outcome_unknown(alice, far_alice, proxy):
    from tests.faults.proxy import cut_after

    session = alice.create_session()["session_id"]
    lost = first(1, cut_after, "TransactWriteItems")
    proxy.plan = lambda call: lost(call) or refused("ExpiredTokenException")
    said = {"role": "user", "content": "x"}
    problem(far_alice.post(f"/sessions/{session}/messages", said), 503, "OUTCOME_UNKNOWN")


def test_our_own_bugs_stay_500(alice, far_alice, proxy):
    proxy.plan = always(refused("ValidationException"))
    problem(far_alice.get("/sessions"), 500, "INTERNAL_ERROR")


def test_the_reason_of_every_503_is_in_the_log(alice, hurried_alice, proxy, logged):
    proxy.plan = always(refused("ThrottlingException"))
    assert hurried_alice.get("/sessions").status_code == 503
    assert logged[-1]["db_failure"] == "ThrottlingException"
    proxy.plan = lambda _: None
    assert hurried_alice.get("/sessions").status_code == 200
    assert logged[-1]["db_failure"] is None


REASONS: dict[str, dict[str, Any]] = {
    "none": {},
    "null": {"CancellationReasons": None},
    "an empty list": {"CancellationReasons": []},
    "only None": {"CancellationReasons": [{"Code": "None"}, {"Code": "None"}]},
    "without codes": {"CancellationReasons": [{}, {}]},
}


@pytest.fixture
def cancelled() -> Callable[[str], Any]:
    def cancelled_with(reasons: str) -> Any:
        def cancelled(exchange: Exchange) -> None:
            kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
            exchange.answer(400, {"__type": kind, "Message": "x", **REASONS[reasons]})

        return cancelled

    return cancelled_with


@pytest.mark.parametrize("reasons", REASONS)
def test_a_transaction_cancelled_without_reasons_is_tried_again(
    reasons, cancelled, alice, far_alice, hurried_alice, proxy, items, logged
):
    before = items()
    proxy.plan = always(cancelled(reasons), "TransactWriteItems")
    problem(hurried_alice.post("/sessions", {"domain_id": "d"}), 503, "STORE_UNAVAILABLE")
    assert logged[-1]["db_failure"] == "TransactionCanceledException"
    assert items() == before
    proxy.plan = first(2, cancelled(reasons), "TransactWriteItems")
    far_alice.create_session()
