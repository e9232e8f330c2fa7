"""The size and cost of a refusal are limited, whatever was sent."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.http.limits import MAX_BODY, MAX_EVENT_BODY
from tests.people import API, problem

ROOT = Path(__file__).parents[2]

MESSAGE = {"role": "user", "content": "x"}


def refused(answer):
    """The problem of a refusal that lists 20 faults and says that there are more."""
    body = problem(answer, 422, "VALIDATION_FAILED")
    assert len(body["errors"]) == 20
    assert "more" in body["detail"]
    assert len(answer.data) < 30_000
    return body


def pairs(count, name="n"):
    return {f"{name}{n}": 1 for n in range(count)}


BAD_MESSAGES = {
    "references that are numbers": {**MESSAGE, "metadata": {"references": [1] * 300_000}},
    "references without members": {**MESSAGE, "metadata": {"references": [{}] * 300_000}},
    "references with bad places": {
        **MESSAGE,
        "metadata": {
            "references": [
                {
                    "type": "r",
                    "reference_id": "r",
                    "summary": "",
                    "location": {"type": "Point", "coordinates": ["x", "y", "z"]},
                }
            ]
            * 3_000
        },
    },
    "unknown members": {**MESSAGE, **pairs(100_000)},
    "unknown members with long names": {**MESSAGE, **pairs(30, "n" * 100_000)},
}


@pytest.mark.parametrize("message", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
def test_at_most_20_faults_of_a_message_are_listed(alice, session_id, message):
    refused(alice.post(f"/sessions/{session_id}/messages", message))
    batch = {"messages": [message] * 2}
    body = refused(alice.post(f"/sessions/{session_id}/messages/batch", batch))
    assert all(error["field"].startswith("messages[") for error in body["errors"])


def test_exactly_20_faults_are_listed_without_a_note(alice, session_id):
    path = f"/sessions/{session_id}/messages"
    body = problem(
        alice.post(path, {**MESSAGE, "metadata": {"references": [1] * 20}}),
        422,
        "VALIDATION_FAILED",
    )
    fields = [error["field"] for error in body["errors"]]
    assert fields == [f"metadata.references[{n}]" for n in range(20)]
    assert "more" not in body["detail"]


@pytest.mark.parametrize("item", [{}, 1, [], None, pairs(40)])
def test_a_batch_that_is_too_long_is_refused_for_its_length(alice, session_id, item):
    path = f"/sessions/{session_id}/messages/batch"
    body = problem(alice.post(path, {"messages": [item] * 10_000}), 422, "VALIDATION_FAILED")
    assert [error["field"] for error in body["errors"]] == ["messages"]


def test_a_batch_of_bad_messages_lists_20_faults(alice, session_id):
    path = f"/sessions/{session_id}/messages/batch"
    refused(alice.post(path, {"messages": [{}] * 50}))
    refused(alice.post(path, {"messages": [pairs(1_000)] * 50}))
    refused(alice.post(path, {"messages": [MESSAGE], **pairs(100_000)}))


@pytest.mark.parametrize(
    "body",
    [{"domain_id": "d", **pairs(100_000)}, {"domain_id": "d", **pairs(30, "é" * 10_000)}],
    ids=["many", "long"],
)
def test_at_most_20_unknown_members_of_a_session_are_listed(alice, session_id, body):
    refused(alice.post("/sessions", body))
    refused(alice.put(f"/sessions/{session_id}", body))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"metadata": pairs(100_000)}, "metadata"),
        ({"metadata": {"n" * 1_000_000: "x"}}, "metadata"),
        ({"n" * 1_000_000: "x"}, "nnn"),
        ({"title": "\x00" * 1_000_000}, "title"),
    ],
)
def test_a_long_name_is_not_sent_back(alice, session_id, body, field):
    answer = alice.put(f"/sessions/{session_id}", body)
    errors = problem(answer, 422, "VALIDATION_FAILED")["errors"]
    assert errors[0]["field"].startswith(field)
    assert len(answer.data) < 2_000


@pytest.mark.parametrize("path", ["/sessions", "/sessions/{id}/messages"])
@pytest.mark.parametrize("name", ["n", "n" * 1_000])
def test_at_most_20_unknown_query_parameters_are_listed(alice, session_id, path, name):
    query = "&".join(f"{name}{n}=1" for n in range(100_000 // len(name)))
    refused(alice.get(f"{path.format(id=session_id)}?{query}"))


@pytest.mark.parametrize(
    "body",
    [
        '{"' + "n" * 1_000_000 + '": "\\ud800"}',
        "[" * 40 + '{"' + "n" * 1_000_000 + '": "\\udc00"}' + "]" * 40,
        "[" * 3_000_000,
        '{"a":' * 500_000,
        '["' + "\\u0041" * 500_000 + '"' + ",[" * 100,
    ],
)
def test_refused_json_is_not_sent_back(alice, session_id, body):
    answer = alice.post(f"/sessions/{session_id}/messages", data=body)
    assert answer.status_code in (400, 422)
    assert len(answer.data) < 2_000


LAMBDAS_EVENT = 6_291_556


def through_lambda(alice, path, body):
    """POSTs as Zappa does, and checks that AWS would accept an event of this size."""
    event = {"httpMethod": "POST", "body": body, "headers": {"X-Long": "h" * 10_000}}
    event["multiValueHeaders"] = {"X-Long": ["h" * 10_000]}
    assert len(json.dumps(event, ensure_ascii=False).encode()) <= LAMBDAS_EVENT
    return alice.app.test_client().post(
        f"{API}{path}",
        data=body.encode(),
        content_type="application/json",
        headers={"Authorization": f"Bearer {alice.token}"},
        environ_overrides={"lambda.event": event},
    )


def message_of(text):
    return json.dumps({"role": "user", "content": text}, ensure_ascii=False)


EVENT_BODIES = {
    "letters": "x",
    "line breaks": "\n",
    "quotes": '"',
    "Cyrillic": "ж",
    "empty strings": '"",',
}


@pytest.mark.parametrize("text", EVENT_BODIES.values(), ids=EVENT_BODIES)
def test_on_lambda_the_size_of_the_body_in_the_event_counts(alice, text):
    """Up to the largest event that AWS accepts, the answer is ours and states the sizes."""
    in_event = len(json.dumps(text, ensure_ascii=False).encode()) - 2
    most = MAX_EVENT_BODY // in_event
    path = "/sessions/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV/messages"
    for count in (most + 1, 6_260_000 // in_event):
        answer = through_lambda(alice, path, text * count)
        detail = problem(answer, 413, "TOO_LARGE")["detail"]
        assert f"{in_event * count:,}" in detail
        assert f"{MAX_EVENT_BODY:,}" in detail
    assert (
        through_lambda(alice, path, text * most).status_code == 400
    )  # it is read, and is not JSON


def test_on_lambda_a_body_within_the_limit_is_accepted(alice, session_id):
    path = f"/sessions/{session_id}/messages"
    body = message_of("x" * 3_000_000) + "\n" * 1_500_000
    assert through_lambda(alice, path, body).status_code == 201


def test_in_a_container_the_size_of_the_body_itself_counts(alice, session_id):
    path = f"/sessions/{session_id}/messages"
    body = message_of("x").encode()
    assert alice.post(path, data=body + b"\n" * (MAX_BODY - len(body))).status_code == 201
    answer = alice.post(path, data=body + b"\n" * (MAX_BODY - len(body) + 1))
    assert f"{MAX_BODY:,}" in problem(answer, 413, "TOO_LARGE")["detail"]


PEAK = """
import json, os, resource, sys
from app.config import Config
from app.factory import create_app
from app.table.db import Table
from tests.people import SECRET, Client, make_token

def rss():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

app = create_app(Config(sessions_table="none", jwt_secret=SECRET, log_level="ERROR"),
                 table=Table("none", client=object()))
alice = Client(app, make_token("acme", "alice"))
assert alice.post("/sessions", data=b"[]").status_code == 422  # everything is loaded
for name, path, body in json.load(sys.stdin):
    sys.stdout.flush()
    if os.fork() == 0:
        data = body.encode()
        before = rss()
        answer = alice.post(path, data=data)
        print(json.dumps([name, answer.status_code, (rss() - before) / len(data)]))
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""

APPEND = "/sessions/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV/messages"

HUNGRY = {
    "escapes and brackets": (APPEND, "[" + "[]," * 65 + '"' + "\\u0041" * 500_000 + '"]'),
    "escaped half pairs": (APPEND, '["' + "\\ud83d\\ude00" * 250_000 + '\\ud800"]'),
    "numbers as blocks": (APPEND, '{"content":[' + "1," * 1_500_000 + "1]}"),
    "a batch of nothing": (f"{APPEND}/batch", '{"messages":[' + "{}," * 1_000_000 + "{}]}"),
    "references of nothing": (
        APPEND,
        '{"role":"user","content":"","metadata":{"references":[' + "{}," * 1_000_000 + "{}]}}",
    ),
    "empty lists": (APPEND, "[" + "[]," * 1_000_000 + '"\\ud800"]'),
    "short names": (
        "/sessions",
        "{" + "".join(f'"{n:x}":0,' for n in range(300_000)) + '"":0}',
    ),
    "objects of one": (APPEND, "[" + '{"":0},' * 400_000 + "0]"),
    "one emoji and a text": (APPEND, '["😀' + "x" * 3_000_000 + '"]'),
}

MOST_MEMORY = 40
"""Multiples of the body. An empty list takes 56 bytes and a slot, for 3 bytes of the body."""


def test_memory_is_a_small_multiple_of_the_body():
    """Runs in a separate process and forks for each body, so that each has its own peak."""
    sent = [(name, path, body) for name, (path, body) in HUNGRY.items()]
    run = subprocess.run(
        [sys.executable, "-c", PEAK],
        input=json.dumps(sent),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    seen = [json.loads(line) for line in run.stdout.splitlines()]
    assert [name for name, *_ in seen] == list(HUNGRY)
    assert {status for _, status, _ in seen} == {422}
    assert {name: round(times) for name, _, times in seen if times > MOST_MEMORY} == {}, seen
    by_name = {name: times for name, _, times in seen}
    for text in ("escapes and brackets", "escaped half pairs", "one emoji and a text"):
        assert by_name[text] < 12, seen
