"""Lost answers, refusals for a while, and what is never sent again."""

import asyncio
import io
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from session_store import (
    AsyncClient,
    Client,
    ConnectionFailed,
    PreconditionFailed,
    TooLarge,
    Unavailable,
    source_hash_of,
)

SAID = {"role": "user", "content": "Any potholes?"}


def refusal(status, **headers):
    return httpx.Response(status, headers=headers, json={"code": "MADE_UP", "title": "No"})


def contents(store, session):
    return [message.content for message in store.messages.list(session)]


@pytest.mark.parametrize("fault", ["lost", 503])
def test_every_write_is_carried_out_once(store, session, lossy, fault):
    def twice():
        return [fault if fault == "lost" else refusal(fault) for _ in range(2)]

    values = store.session_values(session)
    writes = [
        lambda: store.sessions.create(domain_id="d"),
        lambda: store.messages.append(session, **SAID),
        lambda: store.messages.append_many(session, [SAID] * 2),
        lambda: store.messages.replace(session, [SAID] * 4),
        lambda: store.messages.pop(session),
        lambda: store.sessions.fork(session),
        lambda: values.batch([{"put": "b", "json": 1, "if_none_match": "*"}], atomic=True),
        lambda: values.put("a", 1, only_new=True),
        lambda: values.upload("c", io.BytesIO(b"123"), only_new=True),
        lambda: store.tenant_sources.redact(source_hash_of("doc:r1")),
    ]
    for write in writes:
        lossy.faults, lossy.sent = twice(), []
        write()
        keys = {request.headers["Idempotency-Key"] for request in lossy.sent}
        assert (len(lossy.sent), len(keys)) == (3, 1)
    assert len(contents(store, session)) == 3
    assert len(list(store.sessions.list())) == 3


@pytest.mark.parametrize("status", [429, 502, 504])
def test_what_a_gateway_may_answer_is_tried_again(store, session, lossy, status):
    lossy.faults = [refusal(status)]
    store.messages.append(session, **SAID)
    assert len(contents(store, session)) == 1


def test_two_calls_never_share_a_key(store, session, lossy):
    for _ in range(2):
        store.messages.append(session, **SAID)
    assert len({request.headers["Idempotency-Key"] for request in lossy.sent[-2:]}) == 2
    store.messages.append(session, **SAID, idempotency_key="mine")
    done = store.messages.append(session, **SAID, idempotency_key="mine")
    assert lossy.sent[-1].headers["Idempotency-Key"] == "mine"
    assert len(contents(store, session)) == 3
    assert done.message_id


def test_a_failed_precondition_is_sent_once(store, session, lossy):
    store.session_values(session).put("a", 1)
    sent = len(lossy.sent)
    with pytest.raises(PreconditionFailed):
        store.session_values(session).put("a", 2, only_new=True)
    assert len(lossy.sent) == sent + 1
    lossy.faults = [refusal(412), refusal(412)]
    with pytest.raises(PreconditionFailed):
        store.messages.append(session, **SAID)
    assert len(lossy.faults) == 1


def test_the_services_word_counts_before_the_status(store, session, lossy):
    lossy.faults = [refusal(409, **{"Should-Retry": "true"})]
    store.messages.append(session, **SAID)
    lossy.faults = [refusal(503, **{"Should-Retry": "false"}), refusal(503)]
    with pytest.raises(Unavailable) as refused:
        store.messages.append(session, **SAID)
    assert refused.value.code == "MADE_UP"
    assert len(lossy.faults) == 1


def test_it_waits_as_long_as_it_is_asked_to(store, session, lossy):
    lossy.faults = [refusal(503, **{"Retry-After": "1"})]
    started = time.monotonic()
    store.messages.append(session, **SAID)
    assert time.monotonic() - started >= 1
    lossy.faults = [refusal(503, **{"Retry-After": "3600"})]
    with pytest.raises(Unavailable):
        store.messages.append(session, **SAID)


def test_it_gives_up_in_the_end(connect, session, lossy):
    lossy.faults = ["lost"] * 3
    with pytest.raises(ConnectionFailed) as failed:
        connect().sessions.get(session)
    assert isinstance(failed.value.__cause__, httpx.ReadError)
    assert lossy.faults == []
    lossy.faults = ["lost"] * 2
    with pytest.raises(ConnectionFailed):
        connect(retries=0).sessions.get(session)
    assert len(lossy.faults) == 1


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api/v1"


def test_a_try_ends_after_its_timeout(silent):
    with (
        Client(silent, "a token", timeout=0.2, retries=1) as client,
        pytest.raises(ConnectionFailed, match="ReadTimeout"),
    ):
        client.sessions.get("sess_1")


def test_an_async_try_ends_after_its_timeout(silent):
    async def get() -> None:
        async with AsyncClient(silent, "a token", timeout=0.2, retries=1) as client:
            await client.sessions.get("sess_1")

    with pytest.raises(ConnectionFailed, match="ReadTimeout"):
        asyncio.run(get())


def test_an_iterator_is_not_sent_again(store, session, lossy):
    lossy.faults = ["lost"]
    with pytest.raises(ConnectionFailed):
        store.session_values(session).upload("a", iter([b"12", b"34"]))
    assert store.session_values(session).get("a").content == b"1234"


def test_what_is_too_large_is_not_sent_again(store, session, lossy):
    sent = len(lossy.sent)
    with pytest.raises(TooLarge) as refused:
        store.session_values(session).upload("a", bytes(5_000_000))
    assert len(lossy.sent) == sent + 1
    assert refused.value.status == 413


def test_an_answer_that_is_no_problem_is_an_error_all_the_same(store, session, lossy):
    lossy.faults = [httpx.Response(403, html="<h1>Forbidden</h1>")]
    with pytest.raises(Exception) as refused:
        store.sessions.get(session)
    assert refused.value.code == "HTTP_403"
