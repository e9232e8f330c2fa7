"""The transaction of messages with sources keeps to DynamoDB's limits, however long they are."""

import json
import time
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.errors import TooLarge
from app.grounding.sources import key_hash
from app.identity.caller import Caller
from app.messages.model import NewMessage
from app.messages.store import MessageStore
from app.table import db, ids
from app.table.idempotency import IdempotencyKey
from app.table.item_sizes import MAX_ITEMS, MAX_TRANSACTION, size_of
from app.table.writes import decode
from tests.edges import found_in, references
from tests.people import Client, make_token

LARGEST_ITEM = 400 * 1024
"""Bytes. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""


class Recorder:
    """Stands for a boto3 client over an empty table. Keeps the last transaction."""

    def __init__(self) -> None:
        self.writes: list[dict[str, Any]] = []

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        self.writes = [action for write in request["TransactItems"] for action in write.values()]
        return {}


def sizes_of(writes: list[dict[str, Any]]) -> list[int]:
    """Of an update, what it writes."""
    return [
        size_of(decode({**write.get("Key", {}), **write.get("ExpressionAttributeValues", {})}))
        + size_of(decode(write.get("Item", {})))
        for write in writes
    ]


lengths = st.sampled_from([10, 200, 400_000, 400_001, 800_000, 1_200_000]) | st.integers(
    1, 2_000_000
)
messages = st.lists(
    st.tuples(lengths | st.integers(1, 100_000), st.integers(0, 35)), min_size=1, max_size=50
)
ids_of_people = st.sampled_from([1, 900, 1_000])


@settings(max_examples=100, deadline=None)
@given(messages, ids_of_people, ids_of_people, st.integers(0, 2_000), st.booleans())
@example([(79_700, 1)] * 50, 1_000, 1_000, 2_000, True)
@example([(1_000_000, 35)] * 3 + [(900_000, 35)], 1_000, 1_000, 2_000, True)
def test_any_transaction_keeps_to_the_limits(sent, tenant, user, agent, is_keyed):
    caller = Caller("t" * tenant, "u" * user, "a" * agent or None)
    client = Recorder()
    store = MessageStore(db.Table("none", client, database_time=ids.system_clock))
    new = [
        NewMessage("ż" * 64, "x" * size, "ż" * 128, references(*(f"{n}-{i}" for i in range(of))))
        for n, (size, of) in enumerate(sent)
    ]
    key = IdempotencyKey("k" * 64, "f" * 64) if is_keyed else None
    try:
        done = store.append(caller, ids.SESSION_PREFIX + ids.LEAST, new, idempotency_key=key)
    except TooLarge:
        assert sum(size for size, _ in sent) > 2_900_000
        return
    total = sum(of for _, of in sent)
    edges = sum("#SRC#" in str(write.get("Item", {}).get("SK")) for write in client.writes)
    assert edges == total - done.unindexed <= 30
    if sum(size for size, _ in sent) < 3_000_000:
        assert edges == min(30, total)
    sizes = sizes_of(client.writes)
    assert len(sizes) <= MAX_ITEMS
    assert sum(sizes) <= MAX_TRANSACTION
    assert max(sizes) <= LARGEST_ITEM


def test_the_largest_batch_fits_with_its_sources_its_session_and_values(make_app, items):
    """With the longest partition key. Nine further parts are the most, because of the bytes."""
    alice = Client(make_app(), make_token("t" * 1_000, "u" * 1_000))
    key, at = "k" * 512, ids.from_key("k" * 512)
    sizes = [400_100] * 9 + [20] * 41
    body = {
        "session": {
            "key": key,
            "domain_id": "d",
            "title": "t" * 512,
            "metadata": {"a": "m" * 16_000},
        },
        "messages": [
            {
                "role": "user",
                "name": "n" * 128,
                "content": "x" * size,
                "metadata": references(f"{n}"),
            }
            for n, size in enumerate(sizes)
        ],
        "values": {"session": [{"put": "v" * 600, "json": "w" * 10_000}]},
    }
    path = f"/sessions/sess_{at}/messages/batch"
    minimal = {"Idempotency-Key": "i", "Prefer": "return=minimal"}
    answer = alice.post(path, body, headers=minimal)
    assert answer.status_code == 201, answer.text
    assert answer.json["unindexed"] == 50 - len(found_in(items())) == 20


def test_ten_thousand_citations_cost_bounded_time(alice, items):
    session = alice.create_session()["session_id"]
    cite = {"type": "char_location", "document_index": 0, "cited_text": "A"}
    block = {"type": "text", "text": "Yes.", "citations": [cite] * 10_000}
    documents = [{"index": n, "key": f"doc:{n}", "text": "A"} for n in range(10_000)]
    body = {
        "format": "anthropic.messages",
        "native": {"role": "assistant", "content": [block]},
        "metadata": references(*(f"{n}" for n in range(10_000))),
        "grounding": {"request": {"documents": documents}},
    }
    raw = json.dumps(body)
    started = time.process_time()
    answer = alice.post(f"/sessions/{session}/messages", data=raw)
    taken = time.process_time() - started
    assert answer.status_code == 201, answer.text
    assert answer.json["unindexed"] == 9_970
    [found] = found_in(items()).values()
    assert len(found) == 30
    assert taken < 10, "of two seconds or so"


def test_a_request_beside_plain_text_is_read_too(alice, items):
    """A redaction has to find what it holds."""
    session = alice.create_session()["session_id"]
    for request in ({"documents": [{"index": 0, "key": "doc:a", "text": "A"}]}, {}, [], 7, None):
        body = {"role": "assistant", "content": "Yes.", "grounding": {"request": request}}
        answer = alice.post(f"/sessions/{session}/messages", body)
        assert answer.status_code in (201, 422), answer.text
    [edges] = found_in(items()).values()
    assert edges == {key_hash("doc:a"): False}
