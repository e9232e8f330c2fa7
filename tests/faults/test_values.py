"""Values under lost answers, removals and other writers at the same time."""
# ruff: noqa: F811, B023  Fixtures of other modules are imported, and arguments have their names.
# Functions that are made in a loop are called in it.

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from app.operations.sweep import sweep
from app.sessions import leftovers
from app.sessions.leftovers import SETTLED
from tests.faults.proxy import (
    Call,
    Fault,
    bad_gateway,
    broken_inside_after,
    cut_after,
    nothing,
    once,
    throttled,
)
from tests.faults.test_damage import damage  # noqa: F401
from tests.faults.test_keys_again import at_each_call  # noqa: F401
from tests.people import Client, problem
from tests.values import BYTES, PART, PLACES, Values, values_of

SMALL, LARGE, LARGER = (
    f'"{letter * size}"' for letter, size in (("s", 9), ("l", PART), ("x", 3 * PART))
)


def shown(values: Values) -> dict[str, str]:
    """The texts of all values by their names. Each is what its own request gives, too."""
    names = values.names(names_only="true")
    assert values.names() == names
    return {name: values.get(name).text for name in names}


def through(app_of: Client, values: Values) -> Values:
    """The same values, by another app."""
    return Values(Client(app_of.app, values.client.token), values.path)


@pytest.fixture
def settle(table: Any, clock: Any) -> Callable[[], None]:
    """No late put is on its way any more, and the sweep has run."""

    def settle() -> None:
        clock.move(seconds=SETTLED / 1000 + 1)
        assert sweep(table, clock).finished

    return settle


@pytest.fixture
def assert_no_part_is_left(items: Callable[[], list[Any]]) -> Callable[[], None]:
    """Asserts that every part belongs to the write of a value that is there."""

    def look() -> None:
        found = [(item["SK"]["S"], item) for item in items()]
        parts = [item["written"]["S"] for sk, item in found if "VPART#" in sk]
        wanted = [
            item["written"]["S"]
            for _, item in found
            for _ in range(int(item.get("parts", {"N": "1"})["N"]) - 1)
        ]
        assert sorted(parts) == sorted(wanted)

    return look


# Lost answers

LOST = [cut_after, broken_inside_after, bad_gateway]


@pytest.mark.parametrize("text", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("condition", ["none", "create only", "if match"])
@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("place", PLACES)
def test_a_put_whose_answer_is_lost_is_written_once(
    place, lost, condition, text, alice, far_alice, proxy
):
    values = values_of(alice, place)
    values.put("other", "1")  # so that the place notes its values already
    headers = {"create only": {"if_none_match": "*"}, "none": {}}.get(condition)
    if headers is None:
        headers = {"if_match": values.put("a", "0").headers["ETag"]}
    operation = "TransactWriteItems" if text == LARGE else "PutItem"
    proxy.plan = once(lost, operation)
    proxy.forget()
    put = through(far_alice, values).put("a", text, **headers)
    assert proxy.calls.count(operation) == 2
    assert put.status_code in (
        (200, 201) if condition == "none" else (200 + ("match" not in condition),)
    )
    [stored, _] = values.page().json["values"]
    assert (stored["updated_at"], stored["etag"]) == (put.json["updated_at"], put.json["etag"])
    assert values.get("a").text == text


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("size", [9, PART + 1])
def test_a_delete_whose_answer_is_lost_is_recognised(size, lost, alice, far_alice, proxy):
    values = values_of(alice, "user")
    for headers in ({}, {"if_match": "*"}):
        values.put("a", b"x" * size, BYTES)
        proxy.plan = once(lost, "DeleteItem" if size < PART else "TransactWriteItems")
        assert through(far_alice, values).delete("a", **headers).status_code == 204
        assert proxy.faults[lost.__name__] > 0
        assert shown(values) == {}


@pytest.mark.parametrize("lost", LOST)
def test_a_patch_whose_answer_is_lost_is_merged_once(lost, alice, far_alice, proxy):
    values = values_of(alice, "user")
    values.put("a", '{"a":1}')
    proxy.plan = once(lost, "PutItem")
    assert through(far_alice, values).patch("a", '{"b":2}').status_code == 200
    assert shown(values) == {"a": '{"a":1,"b":2}'}


@pytest.mark.parametrize("lost", LOST)
def test_an_atomic_batch_whose_answer_is_lost_is_carried_out_once(lost, alice, far_alice, proxy):
    values = values_of(alice, "user")
    values.put("b", LARGE)
    proxy.plan = once(lost, "TransactWriteItems")
    creates = {"put": "a", "json": 1, "if_none_match": "*"}
    answer = through(far_alice, values).batch(
        creates, {"delete": "b", "if_match": "*"}, atomic=True
    )
    assert [r["status"] for r in answer.json["results"]] == [201, 204]
    assert shown(values) == {"a": "1"}


# A put that is held while what it belongs to is removed


def keyed(alice: Client) -> Values:
    made = alice.create_session(key="k")["session_id"]
    return Values(alice, f"/sessions/{made}/values")


@pytest.mark.parametrize("text", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("first", [False, True], ids=["later", "first"])
@pytest.mark.parametrize("key", [False, True], ids=["without key", "with key"])
def test_a_put_that_is_late_for_its_session_leaves_nothing(
    key, first, text, alice, far_alice, at_each_call, settle, items
):
    for ended in at_each_call(lambda: alice.delete(path), least=1):
        values = keyed(alice) if key else values_of(alice, "session")
        path = values.path.removesuffix("/values")
        if not first:
            values.put("old", LARGER)
        put = through(far_alice, values).put("late", text)
        if ended():
            assert put.status_code == 201
            alice.delete(path)
        else:
            assert put.status_code in (201, 404)
        for answer in (values.get("late"), values.page(), values.batch({"get": "late"})):
            problem(answer, 404, "SESSION_NOT_FOUND")
        settle()
        assert {item["SK"]["S"] for item in items()} <= {"USER"}
    alice.delete("/sessions?confirm=all")
    assert items() == []


@pytest.mark.parametrize("text", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("again", [{}, {"new": "1"}, {"late": "1"}, {"late": LARGER}], ids=str)
def test_a_late_put_is_not_seen_by_the_next_session_with_the_key(
    again, text, alice, far_alice, at_each_call, settle, items, assert_no_part_is_left
):
    def make_again() -> None:
        alice.delete(path)
        keyed(alice)
        for name, new in again.items():
            assert values.put(name, new).status_code == 201

    for number, ended in enumerate(at_each_call(make_again, least=1), 1):
        values = keyed(alice)
        path = values.path.removesuffix("/values")
        values.put("old", LARGER)
        put = through(far_alice, values).put("late", text)
        assert put.status_code in (200, 201)
        if ended():
            make_again()
        now = shown(values)
        if number == 1 or "late" in again:  # it has met the new session
            assert now in (again, {**again, "late": text})
        else:
            assert now == again
        settle()
        assert shown(values) == now
        assert_no_part_is_left()
        assert values.put("late", LARGE).status_code == 201 - ("late" in now)
        assert shown(values) == {**now, "late": LARGE}
        alice.delete(path)
        settle()
        assert {item["SK"]["S"] for item in items()} <= {"USER"}


@pytest.mark.parametrize("text", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("first", [False, True], ids=["later", "first"])
@pytest.mark.parametrize("again", [{}, {"new": "1"}, {"late": LARGER}], ids=str)
def test_a_put_that_is_late_for_an_erasure_leaves_nothing(
    again, first, text, alice, far_alice, at_each_call, settle, items, assert_no_part_is_left
):
    values = values_of(alice, "user")

    def erase() -> None:
        assert alice.delete("/sessions?confirm=all").status_code == 200
        for name, new in again.items():
            assert values.put(name, new).status_code == 201

    for number, ended in enumerate(at_each_call(erase, least=1), 1):
        if not first:
            values.put("old", LARGER)
        assert through(far_alice, values).put("late", text).status_code in (200, 201)
        if ended():
            erase()
        now = shown(values)
        if number == 1 or first or "late" in again:  # it may have begun after the erasure
            assert now in (again, {**again, "late": text})
        else:
            assert now == again
        settle()
        assert shown(values) == now
        assert_no_part_is_left()
        alice.delete("/sessions?confirm=all")
        settle()
        assert items() == []


def test_a_batch_that_is_late_for_its_session_leaves_nothing(
    alice, far_alice, at_each_call, settle, items
):
    puts = [{"put": name, "json": name} for name in "abc"]
    for atomic in (False, True):
        for ended in at_each_call(lambda: alice.delete(path), least=1):
            values = keyed(alice)
            path = values.path.removesuffix("/values")
            values.put("old", "1")
            answer = through(far_alice, values).batch(
                *puts, atomic=atomic, headers={"Idempotency-Key": str(uuid4())}
            )
            assert answer.status_code in (200, 404)
            if ended():
                alice.delete(path)
            keyed(alice)
            assert shown(values) == {}
            alice.delete(path)
            settle()
            left = {item["SK"]["S"].split("#")[0] for item in items()}
            assert left <= {"USER", "REQUEST"}


# A part of what an interrupted removal has left


def unless_deleted(wanted: Callable[[str], bool]) -> Callable[[Call], Fault | None]:
    """Throttles the deletes of items with these sort keys."""

    def plan(call: Call) -> Fault | None:
        if call.operation != "DeleteItem":
            return None
        return throttled if wanted(call.request["Key"]["SK"]["S"]) else None

    return plan


def test_what_an_interrupted_erasure_has_left_spoils_no_new_value(
    alice, hurried_alice, proxy, settle, assert_no_part_is_left
):
    values = values_of(alice, "user")
    values.put("a", LARGER)
    proxy.plan = unless_deleted(lambda sk: sk.startswith("VPART#"))
    assert hurried_alice.delete("/sessions?confirm=all").status_code == 202
    proxy.plan = nothing
    assert values.put("a", LARGE).status_code == 201
    assert shown(values) == {"a": LARGE}
    settle()
    assert shown(values) == {"a": LARGE}
    assert_no_part_is_left()


def test_a_value_of_which_a_part_is_erased_is_not_told_to_be_damaged(
    alice, far_alice, hurried_alice, proxy, at_each_call
):
    values = values_of(alice, "user")

    def erase_parts() -> None:
        proxy.plan = unless_deleted(lambda sk: sk.startswith("VALUE#"))
        assert hurried_alice.delete("/sessions?confirm=all").status_code == 202
        proxy.plan = nothing

    for ended in at_each_call(erase_parts, least=1):
        values.put("a", LARGER)
        got = through(far_alice, values).get("a")
        if got.status_code == 200:
            assert got.text == LARGER
        else:
            problem(got, 404, "VALUE_NOT_FOUND")
        if not ended():
            problem(values.get("a"), 404, "VALUE_NOT_FOUND")


@pytest.mark.parametrize("place", ["user", "tenant"])
def test_a_new_value_outlives_a_sweep_that_was_killed_after_it_removed_the_head(
    place, alice, table, clock, settle, raw
):
    values = values_of(alice, place)
    values.put("a", "1")
    partition = "acme#alice" if place == "user" else "acme##VALUES"
    leftovers.end_epoch(table, partition, clock())
    head = {"PK": {"S": partition}, "SK": {"S": "USER" if place == "user" else "TENANT"}}
    raw.delete_item(TableName=table.name, Key=head)  # as the sweep does, before STALE
    assert values.put("a", "2").status_code == 201
    settle()
    assert values.get("a").text == "2"
    settle()
    assert shown(values) == {"a": "2"}


@pytest.mark.parametrize("key", [{}, {"key": "k"}], ids=["without key", "with key"])
def test_the_values_of_an_expired_session_leave_the_table(key, alice, clock, settle, items):
    session_id = alice.create_session(expires_in_days=1, **key)["session_id"]
    values = Values(alice, f"/sessions/{session_id}/values")
    for name, text in (("small", SMALL), ("large", LARGER)):
        values.put(name, text)
    clock.move(days=2)
    settle()
    settle()  # the first one has left an item that makes the next one look once more
    assert {item["SK"]["S"] for item in items()} == {"USER"}


# Requests whose time is up


def test_a_delete_by_prefix_is_repeated_until_all_is_gone(alice, hurried_alice):
    values = values_of(alice, "session")
    for number in range(12):
        values.put(f"a/{number}", SMALL.ljust(PART))
    values.put("b", "1")
    deleted, answers = 0, []
    while 200 not in answers:
        answer = through(hurried_alice, values).delete_many(prefix="a/")
        deleted += answer.json["deleted_values"]
        answers.append(answer.status_code)
    assert answers[0] == 202
    assert deleted == 12
    assert shown(values) == {"b": "1"}


def test_a_fork_is_repeated_until_all_values_are_copied(alice, hurried_alice):
    values = values_of(alice, "session")
    texts = {f"{number:03}": f"{number}" for number in range(180)}
    for start in (0, 90):
        some = list(texts.items())[start : start + 90]
        values.batch(*({"put": name, "json": json.loads(text)} for name, text in some))
    session, answers = values.path.removesuffix("/values"), []
    while 201 not in answers:
        fork = hurried_alice.post(f"{session}/fork", {"key": "copy"})
        answers.append(fork.status_code)
    assert answers[0] == 202
    assert shown(Values(alice, f"/sessions/{fork.json['session_id']}/values")) == texts


# Reads at the same time


@pytest.mark.parametrize("key", [False, True], ids=["without key", "with key"])
@pytest.mark.parametrize("query", [{}, {"names_only": "true"}, {"order": "desc"}], ids=str)
def test_a_list_is_whole_or_not_there_while_its_session_is_deleted(
    query, key, alice, far_alice, hurried_alice, proxy, at_each_call
):
    names = [f"{n:02}" for n in range(40)]

    def delete_some() -> None:
        plan = iter([None, None])  # two writes of a removal: the mark, and the first items
        writes = ("TransactWriteItems", "BatchWriteItem")
        proxy.plan = lambda call: next(plan, throttled) if call.operation in writes else None
        assert hurried_alice.delete(path).status_code == 202
        proxy.plan = nothing

    for ended in at_each_call(delete_some, least=1):
        values = keyed(alice) if key else values_of(alice, "session")
        path = values.path.removesuffix("/values")
        values.batch(*({"put": name, "json": 1} for name in names))
        page = through(far_alice, values).page(**query)
        if page.status_code == 200:
            assert sorted(value["name"] for value in page.json["values"]) == names
        else:
            problem(page, 404, "SESSION_NOT_FOUND")
        if not ended():
            problem(values.page(**query), 404, "SESSION_NOT_FOUND")
        alice.delete(path)


@pytest.mark.parametrize("read", ["list", "names", "get", "batch"])
def test_no_answer_has_something_of_two_sessions(read, alice, far_alice, at_each_call):
    def make(letter: str, count: int) -> None:
        puts = [{"put": f"{letter}{n}", "json": letter} for n in range(count)]
        values.batch(*puts)
        values.put("large", json.dumps(letter * PART * count))

    def again() -> None:
        alice.delete(values.path.removesuffix("/values"))
        keyed(alice)
        make("n", 1)

    for _ in at_each_call(again, least=1):
        values = keyed(alice)
        make("o", 2)
        far = through(far_alice, values)
        if read == "get":
            got = far.get("large")
            if got.status_code == 404:  # between the two it was not there
                problem(got, 404, "VALUE_NOT_FOUND")
            else:
                assert got.text in (json.dumps("o" * PART * 2), json.dumps("n" * PART))
        else:
            page = far.page(names_only=str(read == "names").lower())
            if read == "batch":
                page = far.batch({"list": ""})
            assert page.status_code == 200
            listed = page.json["results"][0] if read == "batch" else page.json
            names = [value["name"] for value in listed["values"]]
            assert names in (["large", "o0", "o1"], ["large", "n0"])
        alice.delete(values.path.removesuffix("/values"))


@pytest.mark.parametrize("new", [SMALL, LARGE, LARGER[:-1] + 'y"'], ids=["1", "2", "4"])
def test_a_value_that_is_replaced_while_it_is_read_is_not_mixed(
    new, alice, far_alice, at_each_call
):
    values = values_of(alice, "user")
    far = through(far_alice, values)
    for read in (
        lambda: far.get("a").text,
        lambda: json.dumps(json.loads(far.page().text)["values"][0]["json"]),
        lambda: json.dumps(json.loads(far.batch({"get": "a"}).text)["results"][0]["json"]),
    ):
        for _ in at_each_call(lambda: values.put("a", new), least=1):
            values.put("a", LARGER)
            assert read() in (LARGER, new)


def test_a_value_that_is_replaced_again_and_again_is_not_told_to_be_damaged(
    alice, far_alice, proxy
):
    values = values_of(alice, "user")
    texts = [f'"{n:0{3 * PART}}"' for n in range(10)]
    values.put("a", texts[0])
    following = iter(texts[1:])

    def replaced(exchange: Any) -> None:
        values.put("a", next(following))
        exchange.forward()

    proxy.plan = lambda call: replaced if call.operation == "Query" else None
    got = through(far_alice, values).get("a")
    assert got.text in texts if got.status_code == 200 else got.status_code == 503
    proxy.plan = nothing
    assert through(far_alice, values).get("a").status_code == 200


# Writers at the same time


def at_once(count: int, call: Callable[[int], Any]) -> list[int]:
    with ThreadPoolExecutor(count) as pool:
        return sorted(answer.status_code for answer in pool.map(call, range(count)))


@pytest.mark.parametrize("size", [1, PART + 1])
@pytest.mark.parametrize("place", PLACES)
def test_one_of_many_writers_that_know_the_value_wins(place, size, alice):
    values = values_of(alice, place)
    for _ in range(3):
        etag = values.put("a", "old", "text/plain").headers["ETag"]
        put = at_once(4, lambda n: values.put("a", str(n) * size, "text/plain", if_match=etag))
        assert put == [200, 412, 412, 412]
        assert values.get("a").text in {str(n) * size for n in range(4)}


@pytest.mark.parametrize("size", [1, PART + 1])
@pytest.mark.parametrize("place", PLACES)
def test_one_of_many_creators_wins(place, size, alice, assert_no_part_is_left):
    values = values_of(alice, place)
    for _ in range(3):
        put = at_once(4, lambda n: values.put("a", str(n) * size, "text/plain", if_none_match="*"))
        assert put == [201, 412, 412, 412]
        assert values.get("a").text in {str(n) * size for n in range(4)}
        assert_no_part_is_left()
        values.delete("a")


def test_one_of_many_atomic_batches_wins(alice):
    values = values_of(alice, "session")
    etag = values.put("a", "0").json["etag"]
    answers = at_once(
        4,
        lambda n: values.batch(
            {"put": "a", "json": n + 1, "if_match": etag},
            {"put": f"b{n + 1}", "json": n},
            atomic=True,
        ),
    )
    assert answers == [200, 412, 412, 412]
    assert values.names() == ["a", f"b{values.get('a').text}"]


def test_patches_at_once_are_all_merged(alice):
    values = values_of(alice, "session")
    values.put("a", "{}")
    assert at_once(4, lambda n: values.patch("a", f'{{"{n}":{n}}}')) == [200] * 4
    assert values.get("a").json == {str(n): n for n in range(4)}


def test_writers_of_all_sizes_leave_one_value_whole(alice, assert_no_part_is_left):
    values = values_of(alice, "session")
    sizes = [1, PART + 1, 3 * PART, 2]
    for _ in range(3):
        put = at_once(4, lambda n: values.put("a", str(n) * sizes[n], "text/plain"))
        assert set(put) <= {200, 201, 409}
        assert values.get("a").text in {str(n) * size for n, size in enumerate(sizes)}
        assert_no_part_is_left()


# Damage

DAMAGE: dict[str, dict[str, Any]] = {
    "another body": {"body": {"S": '"other"'}},
    "no body": {"body": None},
    "a body that is none": {"body": {"BOOL": True}},
    "bytes for JSON": {"body": {"B": b"1"}},
    "a wrong etag": {"etag": {"S": "wrong"}},
    "no etag": {"etag": None},
    "another type": {"content_type": {"S": "text/plain"}},
    "no size": {"total_bytes": None},
    "written is no id": {"written": {"S": "yesterday"}},
    "written is a number": {"written": {"N": "5"}},
    "written is none": {"written": {"BOOL": True}},
    "not written": {"written": None},
    "more parts": {"parts": {"N": "9"}},
    "far more parts": {"parts": {"N": "1000000000000"}},
    "parts of text": {"parts": {"S": "three"}},
}


def spoiled(values: Values) -> None:
    problem(values.get("b"), 500, "VALUE_DAMAGED")
    assert (values.get("a").text, values.get("c").text) == ("1", "3")
    assert values.names() == ["a", "c"]
    assert [len(page) for page in values.pages(limit=1)] == [1, 1]
    results = values.batch(*({"get": name} for name in "abc"), {"list": ""}).json["results"]
    assert [r["status"] for r in results] == [200, 500, 200, 200]
    assert results[1]["code"] == "VALUE_DAMAGED"
    assert [value["name"] for value in results[3]["values"]] == ["a", "c"]


REST = {"a": "1", "c": "3"}

REPAIRS: list[tuple[Callable[[Values], Any], int, dict[str, str]]] = [
    (lambda values: values.put("b", "2"), 200, {**REST, "b": "2"}),
    (lambda values: values.delete("b"), 204, REST),
    (lambda values: values.batch({"put": "b", "json": 2}, atomic=True), 200, {**REST, "b": "2"}),
    (lambda values: values.delete_many(all="true"), 200, {}),
]


@pytest.mark.parametrize("text", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("attributes", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_value_spoils_only_itself(
    attributes, text, alice, damage, assert_no_part_is_left
):
    values = values_of(alice, "user")
    for repair, status, left in REPAIRS:
        for name, content in {**REST, "b": text}.items():
            values.put(name, content)
        damage("VALUE#b", **attributes)
        spoiled(values)
        assert repair(values).status_code == status
        assert shown(values) == left
        assert_no_part_is_left()


@pytest.mark.parametrize("change", ["missing", "another body", "of another write"])
def test_a_damaged_part_spoils_only_its_value(change, alice, raw, table, items):
    values = values_of(alice, "user")
    for name, content in (("a", "1"), ("b", LARGER), ("c", "3")):
        values.put(name, content)
    part = [item for item in items() if item["SK"]["S"].startswith("VPART#")][1]
    if change == "missing":
        key = {"PK": part["PK"], "SK": part["SK"]}
        raw.delete_item(TableName=table.name, Key=key)
    else:
        name, text = ("body", "x") if change == "another body" else ("written", "0" * 26)
        raw.put_item(TableName=table.name, Item={**part, name: {"S": text}})
    spoiled(values)
    assert values.put("b", "2").status_code == 200
    assert shown(values) == {"a": "1", "b": "2", "c": "3"}


def test_a_value_without_an_epoch_is_not_there_and_can_be_written(alice, damage):
    values = values_of(alice, "user")
    for name in "ab":
        values.put(name, "1")
    damage("VALUE#b", epoch=None)
    problem(values.get("b"), 404, "VALUE_NOT_FOUND")
    assert shown(values) == {"a": "1"}
    assert values.put("b", "2").status_code in (200, 201)
    assert shown(values) == {"a": "1", "b": "2"}
