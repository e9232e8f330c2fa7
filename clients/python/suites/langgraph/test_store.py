"""The store: requests, any text, sizes, faults, filters and namespaces."""

import asyncio
import math
from typing import Any

import pytest
from langgraph.store import memory
from langgraph.store.base import GetOp, InvalidNamespaceError, ListNamespacesOp, PutOp, SearchOp
from test_saver import TEXTS
from wire import Wire

from session_store import AsyncClient, Client
from session_store.adapters.langgraph import SessionStoreStore
from suites import world


def test_an_operation_is_one_request(wire: Wire) -> None:
    store = wire.store()
    for operation in (
        lambda: store.put(("users", "7"), "name", {"is": "Ada"}),
        lambda: store.get(("users", "7"), "name"),
        lambda: store.search(("users",)),
        lambda: store.list_namespaces(),
        lambda: store.batch([PutOp(("users",), f"{n}", {"n": n}) for n in range(100)]),
        lambda: store.batch([GetOp(("users",), f"{n}") for n in range(100)]),
        lambda: store.delete(("users", "7"), "name"),
        lambda: store.delete(("users", "7"), "name"),
    ):
        wire.count()
        operation()
        assert wire.count() == 1


@pytest.mark.parametrize(
    "value", [{}, {"a": [1, 2.5, None, True, {"b": "é 😀 \ud800"}]}, {"": 1e300}]
)
def test_items_come_back(wire: Wire, value: Any) -> None:
    store = wire.store()
    store.put(("memories",), "one", value)
    item = store.get(("memories",), "one")
    assert item is not None
    assert (item.value, item.key, item.namespace) == (value, "one", ("memories",))
    assert item.created_at.tzinfo
    assert store.search(("memories",)) == [item]


def test_items_are_json_for_other_programs(wire: Wire) -> None:
    wire.store().put(("users", "a/b"), "settings", {"theme": "dark"})
    assert wire.client.values.get("store/users/a%2Fb/settings").content == {"theme": "dark"}


def test_nan_comes_back(wire: Wire) -> None:
    store = wire.store()
    store.put(("a",), "nan", {"score": math.nan, "more": [math.inf]})
    [item] = store.search(("a",))
    assert math.isnan(item.value["score"])
    assert item.value["more"] == [math.inf]
    store.put(("a",), "nan", {"score": 1.0})
    assert store.get(("a",), "nan").value == {"score": 1.0}


def test_what_is_no_json_is_refused(wire: Wire) -> None:
    with pytest.raises(TypeError):
        wire.store().put(("a",), "key", {"value": object()})
    assert wire.count() == 0


def test_namespaces_and_keys_may_be_any_text(wire: Wire) -> None:
    store = wire.store()
    texts = [*TEXTS, "store", "\U0010ffff"]
    labels = [text for text in texts if text and "." not in text and "\0" not in text]
    ops = [
        PutOp(("root", label), key, {"is": [repr(label), repr(key)]})
        for label in labels
        for key in texts
    ]
    store.batch(ops)
    for label in labels:
        items = store.search(("root", label), limit=1000)
        assert sorted(item.key for item in items) == sorted(texts)
        assert all(item.value == {"is": [repr(label), repr(item.key)]} for item in items)
        assert {item.namespace for item in items} == {("root", label)}
    assert store.list_namespaces(limit=1000) == sorted(("root", label) for label in labels)
    assert store.list_namespaces(prefix=("root", "x" * 513)) == [("root", "x" * 513)]
    found = store.batch([GetOp(("root", label), label) for label in labels])
    assert [item.value for item in found] == [{"is": [repr(label)] * 2} for label in labels]
    store.batch([PutOp(op.namespace, op.key, None) for op in ops])
    assert not list(wire.client.values.list())


def test_a_namespace_may_be_deep_up_to_the_limit_of_names(wire: Wire) -> None:
    store = wire.store()
    deep = tuple(f"{number}" for number in range(150))
    store.put(deep, "x" * 700, {"a": 1})
    assert store.search(deep[:100])[0].namespace == deep
    with pytest.raises(ValueError, match="too long"):
        store.put(deep * 3, "key", {"a": 1})
    with pytest.raises(InvalidNamespaceError):
        store.put(("a.b",), "key", {"a": 1})


def test_an_item_is_not_found_under_the_names_of_others(wire: Wire) -> None:
    store = wire.store()
    store.put(("a",), "b", {"n": 1})
    store.put(("a", "b"), "c", {"n": 2})
    store.put(("ab",), "c", {"n": 3})
    assert [item.value["n"] for item in store.search(("a",))] == [1, 2]
    assert [item.value["n"] for item in store.search(("a", "b"))] == [2]
    assert store.get(("a",), "c") is None
    assert store.list_namespaces() == [("a",), ("a", "b"), ("ab",)]


FILTERS = [
    {"n": 3},
    {"n": {"$gt": 3}},
    {"n": {"$gte": 3, "$lt": 7}},
    {"n": {"$ne": 3}, "even": True},
    {"tags": ["a", {"n": 1}]},
    {"inner": {"n": 4}},
    {"none": None},
    {"missing": {"$eq": 1}},
]


@pytest.mark.parametrize("wanted", FILTERS)
def test_filters_find_what_the_in_memory_store_finds(wire: Wire, wanted: Any) -> None:
    found = []
    for store in (wire.store(), memory.InMemoryStore()):
        store.batch(
            [
                PutOp(
                    ("items", f"{n % 3}"),
                    f"{n}",
                    {
                        "n": n,
                        "even": n % 2 == 0,
                        "tags": ["a", {"n": n % 2}],
                        "inner": {"n": n, "m": 0},
                    },
                )
                for n in range(12)
            ]
        )
        items = store.search(("items",), filter=wanted, limit=100)
        found.append(sorted(item.value["n"] for item in items))
    assert found[0] == found[1]


def test_a_filter_with_an_unknown_operator_is_refused(wire: Wire) -> None:
    store = wire.store()
    store.put(("a",), "b", {"n": 1})
    with pytest.raises(ValueError, match=r"\$near"):
        store.search(("a",), filter={"n": {"$near": 1}})
    assert store.search(("a",), filter={"n": {"$gt": "text"}}) == []


def test_offset_and_limit_cover_long_lists_once(wire: Wire) -> None:
    store = wire.store()
    store.batch([PutOp(("many", f"{n % 7}"), f"{n:04}", {"n": n}) for n in range(450)])
    for wanted in (None, {"n": {"$gte": 0}}):
        found = []
        for offset in range(0, 500, 130):
            found += store.search(("many",), filter=wanted, offset=offset, limit=130)
        assert sorted(item.value["n"] for item in found) == list(range(450))
    assert len(store.list_namespaces(max_depth=1)) == 1
    assert store.list_namespaces(suffix=("3",)) == [("many", "3")]


def test_a_batch_reads_before_it_writes(wire: Wire) -> None:
    store = wire.store()
    store.put(("a",), "key", {"n": 1})
    found = store.batch(
        [
            PutOp(("a",), "key", {"n": 2}),
            GetOp(("a",), "key"),
            PutOp(("a",), "key", {"n": 3}),
            SearchOp(("a",)),
            PutOp(("a",), "other", None),
            ListNamespacesOp(),
        ]
    )
    assert [found[0], found[2], found[4]] == [None] * 3
    assert found[1].value == found[3][0].value == {"n": 1}
    assert found[5] == [("a",)]
    assert store.get(("a",), "key").value == {"n": 3}


def test_large_items_are_divided_between_requests(wire: Wire) -> None:
    store = wire.store()
    text = "x" * 900_000
    store.batch([PutOp(("large",), f"{n}", {"text": text + f"{n}"}) for n in range(10)])
    found = store.batch([GetOp(("large",), f"{n}") for n in range(10)])
    assert [item.value["text"][-1] for item in found] == [f"{n}" for n in range(10)]
    assert len(store.search(("large",))) == 10


def test_lost_answers_change_nothing(wire: Wire) -> None:
    store = wire.store()
    wire.lose = 1
    store.put(("a",), "b", {"n": 1})
    wire.lose = 1
    store.batch([PutOp(("a",), f"{n}", {"n": n}) for n in range(3)])
    wire.lose = 1
    assert len(store.search(("a",))) == 4
    wire.lose = 1
    store.delete(("a",), "b")
    assert len(store.search(("a",))) == 3


async def test_async_methods_do_the_same(wire: Wire) -> None:
    store = wire.store()
    await asyncio.gather(*(store.aput(("a", f"{n % 2}"), f"{n}", {"n": n}) for n in range(8)))
    assert (await store.aget(("a", "1"), "3")).value == {"n": 3}
    assert len(await store.asearch(("a",), filter={"n": {"$gt": 4}})) == 3
    assert await store.alist_namespaces(prefix=("a",)) == [("a", "0"), ("a", "1")]
    await store.adelete(("a", "1"), "3")
    assert await store.aget(("a", "1"), "3") is None


async def test_ttl_and_the_wrong_client_are_refused(wire: Wire) -> None:
    with pytest.raises(NotImplementedError, match="TTL"):
        wire.store().put(("a",), "b", {}, ttl=5)
    with pytest.raises(TypeError, match=r"session_store\.Client"):
        SessionStoreStore(AsyncClient(world.URL, wire.token)).get(("a",), "b")
    with pytest.raises(TypeError, match="AsyncClient"):
        await SessionStoreStore(Client(world.URL, wire.token)).aget(("a",), "b")


def test_users_have_their_own_items(wire: Wire) -> None:
    wire.store().put(("a",), "b", {"n": 1})
    other = SessionStoreStore(Client(world.URL, world.token("another")))
    assert other.get(("a",), "b") is None
    assert other.list_namespaces() == []
