"""Named values of a session, a user or a tenant, by example."""

import base64
import gzip
import hashlib
import http.client
import itertools
import json
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.faults.server import serve
from tests.people import API, Client, make_token, moved, problem
from tests.values import BYTES, JSON, MOST, PART, PLACES, SCOPES, TEXT, Values, values_of

ONCE = {"Idempotency-Key": "once"}


@pytest.fixture(params=PLACES)
def values(request: pytest.FixtureRequest, alice: Client) -> Values:
    """Alice's values, in each of the three places."""
    return values_of(alice, request.param)


@pytest.fixture
def mine(alice: Client) -> Values:
    """Alice's own, where the place makes no difference."""
    return values_of(alice, "user")


def etag_of(content_type: str, raw: bytes) -> str:
    digest = hashlib.sha256(content_type.encode() + b"\0" + raw).digest()[:16]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


# Write, read, delete


def test_a_value_comes_back_as_it_was_put(values):
    put = values.put("agent/state", '{"step": 1}')
    assert put.status_code == 201
    etag = etag_of(JSON, b'{"step": 1}')
    assert put.headers["ETag"] == f'"{etag}"'
    told = put.json
    assert told.pop("updated_at").endswith("Z")
    assert told == {"name": "agent/state", "content_type": JSON, "etag": etag, "size": 11}
    got = values.get("agent/state")
    assert (got.status_code, got.text, got.content_type) == (200, '{"step": 1}', JSON)
    assert got.headers["ETag"] == f'"{etag}"'


def test_replacing_a_value_gives_200(values, clock):
    first = values.put("a", "1")
    clock.move(seconds=5)
    second = values.put("a", "2")
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json["etag"] != first.json["etag"]
    assert second.json["updated_at"] > first.json["updated_at"]
    assert values.get("a").text == "2"


def test_the_same_content_has_the_same_etag_and_another_type_has_another(values):
    assert values.put("a", "1").json["etag"] == values.put("b", "1").json["etag"]
    assert values.put("a", "1", TEXT).json["etag"] != values.put("b", "1").json["etag"]


def test_a_value_that_is_not_there_gives_404(values):
    values.put("other", "1")
    for method in ("GET", "DELETE"):
        problem(values.request(method, "a"), 404, "VALUE_NOT_FOUND")
    problem(values.patch("a", "{}"), 404, "VALUE_NOT_FOUND")
    assert values.request("HEAD", "a").status_code == 404


def test_deleting_twice_gives_404(values):
    values.put("a", "1")
    deleted = values.delete("a")
    assert (deleted.status_code, deleted.data) == (204, b"")
    problem(values.delete("a"), 404, "VALUE_NOT_FOUND")
    problem(values.get("a"), 404, "VALUE_NOT_FOUND")
    assert values.put("a", "1").status_code == 201


@pytest.mark.parametrize("session", ["sess_01ARZ3NDEKTSV4RRFFQ69G5FAV", "sess_x", "a"])
def test_a_session_that_is_not_there_has_no_values(session, alice, items):
    values = Values(alice, f"/sessions/{session}/values")
    for answer in (
        values.get("a"),
        values.put("a"),
        values.patch("a", "{}"),
        values.delete("a"),
        values.page(),
        values.delete_many(all="true"),
        values.batch({"put": "a", "json": 1}),
        values.batch({"put": "a", "json": 1}, atomic=True),
        values.batch({"get": "a"}),
    ):
        problem(answer, 404, "SESSION_NOT_FOUND")
    assert items() == []


@pytest.mark.parametrize("end", ["deleted", "expired", "erased"])
def test_the_values_of_a_session_end_with_it(end, alice, clock):
    session = alice.create_session(expires_in_days=1)["session_id"]
    values = Values(alice, f"/sessions/{session}/values")
    values.put("a", "1")
    if end == "expired":
        clock.move(days=2)
    else:
        alice.delete(f"/sessions/{session}" if end == "deleted" else "/sessions?confirm=all")
    for answer in (values.get("a"), values.page(), values.put("a"), values.delete("a")):
        problem(answer, 404, "SESSION_NOT_FOUND")


def test_a_users_values_go_with_an_erasure_and_the_tenants_stay(alice):
    own, tenants = values_of(alice, "user"), values_of(alice, "tenant")
    for values in (own, tenants):
        values.put("a", "1")
    assert alice.delete("/sessions?confirm=all").status_code == 200
    problem(own.get("a"), 404, "VALUE_NOT_FOUND")
    assert own.names() == []
    assert tenants.get("a").text == "1"
    assert own.put("a", "2").status_code == 201
    assert own.get("a").text == "2"


def test_a_user_with_values_and_no_sessions_has_an_empty_list(alice, mine):
    mine.put("a", "1")
    listed = alice.get("/sessions").json
    assert (listed["sessions"], listed["pagination"]["total"]) == ([], 0)
    alice.create_session()
    assert alice.get("/sessions").json["pagination"]["total"] == 1


# Preconditions


def forms(etag: str) -> dict[str, bool]:
    """Values of If-Match, and whether they match the ETag."""
    return {
        f'"{etag}"': True,
        f'"x", "{etag}"': True,
        f' "{etag}" , "x"': True,
        "*": True,
        '"x"': False,
        f'W/"{etag}"': False,
        etag: False,
        f'"{etag}': False,
        f'"x" "{etag}"': False,
        f'*, "{etag}"': False,
        '"*"': False,
        "": False,
    }


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_match_writes_only_what_the_client_knows(method, values):
    etag = etag_of(JSON, b'{"a":1}')
    for form, matches in forms(etag).items():
        values.put("a", '{"a":1}')
        body = None if method == "DELETE" else '{"b":2}'
        answer = values.request(method, "a", body, if_match=form)
        if matches:
            assert answer.status_code == (204 if method == "DELETE" else 200), form
        else:
            problem(answer, 412, "VALUE_CHANGED", etag=etag)
            assert values.get("a").text == '{"a":1}'


@pytest.mark.parametrize("form", ["*", '"x"'])
def test_if_match_is_not_met_by_a_value_that_is_not_there(form, values, items):
    problem(values.put("a", "1", if_match=form), 412, "VALUE_CHANGED", etag=None)
    problem(values.delete("a", if_match=form), 412, "VALUE_CHANGED", etag=None)
    assert values.names() == []


def test_a_put_that_is_repeated_with_its_key_gives_the_same_again(values):
    """The client may not know that its first try succeeded."""
    first = values.put("a", "1").headers["ETag"]
    for condition in ({"if_match": first}, {"if_none_match": "*"}):
        name = "a" if "if_match" in condition else "new"
        put = [values.put(name, "2", idempotency_key="once", **condition) for _ in range(2)]
        assert put[1].status_code == put[0].status_code, put[1].text
        assert put[1].json == put[0].json
        assert put[1].json["updated_at"] == values.page(prefix=name).json["values"][0]["updated_at"]
    assert values.put("a", "3", if_match=first, idempotency_key="once").status_code == 412
    values.put("a", "4")
    assert values.put("a", "2", if_match=first, idempotency_key="once").status_code == 412


def test_without_a_key_the_second_of_two_equal_puts_is_refused_and_told_its_own_etag(values):
    """Otherwise a counter that two clients raise from the same value would count once."""
    first = values.put("a", "1").headers["ETag"]
    one, two = (values.put("a", "2", if_match=first) for _ in range(2))
    problem(two, 412, "VALUE_CHANGED", etag=one.json["etag"])


def test_more_etags_than_a_condition_can_hold_are_refused(mine):
    many = ", ".join(f'"{n}"' for n in range(101))
    error = problem(mine.put("a", "1", if_match=many), 422, "VALIDATION_FAILED")["errors"][0]
    assert (error["location"], error["field"]) == ("headers", "If-Match")
    fewer = ", ".join(f'"{n}"' for n in range(100))
    assert mine.put("a", "1", if_match=fewer).status_code == 412


def test_if_none_match_only_creates(values):
    made = values.put("a", "1", if_none_match="*")
    assert made.status_code == 201
    refused = values.put("a", "2", if_none_match="*")
    problem(refused, 412, "VALUE_CHANGED", etag=made.json["etag"])
    assert values.get("a").text == "1"
    values.delete("a")
    assert values.put("a", "2", if_none_match=" * ").status_code == 201


@pytest.mark.parametrize("form", ['"x"', "", "**", '*, "x"', "W/*"])
def test_a_put_takes_no_other_if_none_match(form, mine, items):
    error = problem(mine.put("a", if_none_match=form), 422, "VALIDATION_FAILED")["errors"][0]
    assert error["field"] == "If-None-Match"
    assert items() == []


def test_both_conditions_are_never_met_together(values):
    """One wants a value, the other none."""
    assert values.put("a", "1", if_match="*", if_none_match="*").status_code == 412
    etag = values.put("a", "1").headers["ETag"]
    assert values.put("a", "2", if_match=etag, if_none_match="*").status_code == 412
    both = {"put": "a", "json": 2, "if_match": "*", "if_none_match": "*"}
    assert values.batch(both).json["results"][0]["status"] == 412
    assert values.get("a").text == "1"


def test_a_copy_that_is_current_gives_304(values):
    etag = values.put("a", "1").headers["ETag"]
    for method, form in itertools.product(
        ("GET", "HEAD"), (etag, f"W/{etag}", f'"x", {etag}', "*")
    ):
        answer = values.request(method, "a", if_none_match=form)
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)
    for form in ('"x"', etag.strip('"'), ""):
        assert values.get("a", if_none_match=form).text == "1"
    problem(values.get("b", if_none_match="*"), 404, "VALUE_NOT_FOUND")


# Bodies


@pytest.mark.parametrize("size", [0, 5, PART + 1])
def test_head_gives_the_headers_of_get(size, values):
    values.put("a", b"x" * size, TEXT)
    got, head = values.get("a"), values.request("HEAD", "a")
    assert (head.status_code, head.data) == (200, b"")
    usual = {"Content-Type", "Content-Length", "ETag", "Last-Modified", "Value-Type"}
    assert usual <= set(got.headers.keys())
    assert {n: head.headers[n] for n in usual} == {n: got.headers[n] for n in usual}
    assert got.headers["Content-Length"] == str(size)


def test_a_value_is_sent_so_that_no_browser_shows_it(values, clock):
    clock.freeze()
    values.put("a", "<script>alert(1)</script>", "text/html")
    for method in ("GET", "HEAD"):
        headers = values.request(method, "a").headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "sandbox"
        assert headers["Content-Disposition"] == "attachment"
        assert headers["Content-Type"] == headers["Value-Type"] == "text/html"
        written = parsedate_to_datetime(headers["Last-Modified"]).timestamp()
        assert abs(written - clock() / 1000) < 1


TYPES = {  # as sent: as kept
    TEXT: TEXT,
    "text/plain; charset=latin-1": "text/plain; charset=latin-1",
    'text/html;a="b;c"': 'text/html;a="b;c"',
    "image/png": "image/png",
    BYTES: BYTES,
    "application/json; charset=utf-8": JSON,
    "Application/JSON": JSON,
    "application/geo+json": "application/geo+json",
    "model/gltf+json; x=1": "model/gltf+json",
    "application/jsonl": "application/jsonl",
    "application/x+json-seq": "application/x+json-seq",
}


def test_a_value_keeps_its_content_type(values):
    for sent, kept in TYPES.items():
        put = values.put("a", "[1, 2]", sent)
        assert put.json["content_type"] == kept
        got = values.get("a")
        assert (got.text, got.content_type, got.headers["Value-Type"]) == ("[1, 2]", kept, kept)
        [shown] = values.page().json["values"]
        assert shown["content_type"] == kept
        assert ("json" in shown) == ("+json" in kept and "seq" not in kept or kept == JSON)


def test_bytes_may_have_their_type_in_a_header_of_its_own(values):
    """API Gateway passes on bytes for one type only."""
    assert values.put("a", b"\x89PNG", BYTES, value_type="image/png").status_code == 201
    got = values.get("a")
    assert (got.data, got.content_type) == (b"\x89PNG", "image/png")
    values.put("b", b"[1]", BYTES, value_type="application/json; x=1")
    assert values.get("b").content_type == JSON
    problem(values.put("b", b"[1", BYTES, value_type=JSON), 400, "MALFORMED_JSON")
    assert values.put("c", b"a", TEXT, value_type="image/png").json["content_type"] == TEXT
    assert values.put("c", b"a", BYTES, value_type=" ").json["content_type"] == BYTES


@pytest.mark.parametrize("body", [b"", b"\xff\x00"])
def test_a_body_without_a_type_is_bytes(body, mine, address):
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    headers = {"Authorization": f"Bearer {mine.client.token}"}
    connection.request("PUT", f"{API}{mine.at('a')}", body, headers)
    assert connection.getresponse().status == 201
    connection.close()
    got = mine.get("a")
    assert (got.data, got.content_type) == (body, BYTES)


@pytest.mark.parametrize("sent", ["text", "text/", "/plain", "a b/c", "text/plain; é", "x" * 256])
def test_a_type_that_is_none_is_refused(sent, mine, items):
    error = problem(mine.put("a", b"x", sent), 422, "VALIDATION_FAILED")["errors"][0]
    assert error["field"] == "content_type"
    problem(mine.put("a", b"x", BYTES, value_type=sent), 422, "VALIDATION_FAILED")
    batch = mine.batch({"put": "a", "base64": "", "content_type": sent})
    problem(batch, 422, "VALIDATION_FAILED")
    assert items() == []


LITERALS = {
    "an exponent": "1E5",
    "minus zero": "-0",
    "zeros": "1.5000",
    "many digits": "1" * 5_000,
    "beyond floats": "1E999",
    "white space": ' \n\t{ "b" : [ ] ,\r\n "a": 1 }\n ',
    "half a pair": '"\\ud83d"',
    "escapes": '"\\u0041\\/\\u0000"',
    "an emoji": '"\U0001f600"',
    "null": "null",
    "a string": '""',
    "nested": "[" * 61 + "]" * 61,  # a batch adds three levels, and 64 are allowed
}


def test_json_comes_back_literal_for_literal(values):
    for name, text in LITERALS.items():
        assert values.put(name, text).status_code == 201
        assert values.get(name).data == text.encode()
        sent = f'{{"operations": [{{"put": "b", "json": {text}}}, {{"get": "b"}}]}}'
        answer = values.client.post(f"{values.path}/batch", data=sent.encode())
        assert answer.status_code == 200, (name, answer.text)
        assert f'"json":{text.strip()}}}' in answer.text, name
    listed = values.page().text
    assert all(f'"json":{text}}}' in listed for text in LITERALS.values())


BROKEN = {
    "nothing": (b"", 400, "MALFORMED_JSON"),
    "words": (b"hello", 400, "MALFORMED_JSON"),
    "NaN": (b"[NaN]", 400, "MALFORMED_JSON"),
    "two": (b"1 2", 400, "MALFORMED_JSON"),
    "not UTF-8": (b'"\xff"', 400, "MALFORMED_JSON"),
    "half a pair in UTF-8": (b'"\xed\xa0\xbd"', 400, "MALFORMED_JSON"),
    "UTF-16": ("1".encode("utf-16-le"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    "too deep": (b"[" * 65 + b"]" * 65, 422, "VALIDATION_FAILED"),
    "a name twice": (b'{"a":1,"b":{"c":1,"c":2}}', 422, "VALIDATION_FAILED"),
    "a name twice, escaped": (b'[{"a":1,"\\u0061":2}]', 422, "VALIDATION_FAILED"),
}


@pytest.mark.parametrize(("body", "status", "code"), BROKEN.values(), ids=BROKEN)
def test_what_is_not_json_is_refused_as_json(body, status, code, values):
    problem(values.put("a", body), status, code)
    problem(values.put("a", body, "application/geo+json"), status, code)
    assert values.get("a").status_code == 404
    assert values.put("a", body, TEXT).status_code == 201
    assert values.get("a").data == body


def test_json_in_another_charset_is_refused(mine):
    problem(mine.put("a", "1", f"{JSON}; charset=utf-16"), 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("content_type", [JSON, BYTES])
def test_a_body_may_be_compressed(content_type, values):
    packed = gzip.compress(b"[1]" + b" " * PART)
    assert values.put("a", packed, content_type, content_encoding="gzip").status_code == 201
    assert values.get("a").data == b"[1]" + b" " * PART
    problem(values.put("a", b"[1]", content_type, content_encoding="gzip"), 400, "MALFORMED_JSON")
    answer = values.put("a", b"[1]", content_type, content_encoding="br")
    problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert values.put("b", packed, content_type="application/gzip").status_code == 201
    assert values.get("b").data == packed


SIZES = [0, PART - 1, PART, PART + 1, 2 * PART, MOST]


@pytest.mark.parametrize("size", SIZES)
def test_bytes_of_any_size_come_back(size, values):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    for _ in range(2):
        assert values.put("a", body, BYTES).json["size"] == size
        assert values.get("a").data == body
        [shown] = values.page().json["values"]
        assert base64.b64decode(shown["base64"]) == body
        assert shown["size"] == size


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, MOST])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_json_of_any_size_comes_back(letter, size, values):
    text = json.dumps(letter * ((size - 2) // len(letter.encode())), ensure_ascii=False)
    if letter == "é" and size == MOST:
        text = text[:900_000] + '"'  # it takes 6 bytes in Lambda's answer
    assert values.put("a", text).status_code == 201
    assert values.get("a").text == text
    assert f'"json":{text}}}' in values.page().text


def test_a_value_that_is_too_large_is_refused(values):
    for content_type, body in ((BYTES, b"x" * (MOST + 1)), (JSON, b'"' + b"x" * (MOST - 1) + b'"')):
        detail = problem(values.put("a", body, content_type), 413, "TOO_LARGE")["detail"]
        assert "3,145,729" in detail
    problem(values.put("a", b"x" * 6_300_000, BYTES), 413, "TOO_LARGE")
    packed = gzip.compress(b"x" * (MOST + 1))
    problem(values.put("a", packed, BYTES, content_encoding="gzip"), 413, "TOO_LARGE")
    assert values.get("a").status_code == 404


def test_json_that_could_not_be_sent_again_is_refused(mine):
    """An é takes six bytes in Lambda's answer."""
    body = '"' + "é" * 1_000_000 + '"'
    assert "6,000," in problem(mine.put("a", body), 413, "TOO_LARGE")["detail"]
    assert mine.put("a", body, TEXT).status_code == 201


def test_a_value_leaves_no_part_of_a_larger_one(values, items):
    def parts() -> int:
        return sum("VPART#" in item["SK"]["S"] for item in items())

    for size, expected in ((MOST, 7), (1, 0), (2 * PART, 1), (5 * PART, 4), (PART, 0)):
        values.put("a", b"x" * size, BYTES)
        assert parts() == expected
        assert len(values.get("a").data) == size
    values.put("a", b"x" * MOST, BYTES)
    assert values.patch("a", "{}").status_code == 409
    assert values.delete("a").status_code == 204
    assert parts() == 0
    assert not any("VALUE#" in item["SK"]["S"] for item in items())


@pytest.mark.parametrize("atomic", [True, False])
def test_a_batch_leaves_no_part_of_a_larger_value(atomic, mine, items):
    for name in "abc":
        mine.put(name, b"x" * MOST, BYTES)
    mine.batch({"put": "a", "json": 1}, {"delete": "b"}, {"put": "c", "json": 1}, atomic=atomic)
    assert [mine.get(name).text for name in "ac"] == ["1", "1"]
    assert not any("VPART#" in item["SK"]["S"] for item in items())


# PATCH

RFC_7396 = [  # appendix A
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]


def test_patch_merges_as_rfc_7396_says(values):
    for old, patch, new in RFC_7396:
        values.put("a", old)
        answer = values.patch("a", patch)
        assert (answer.status_code, values.get("a").text) == (200, new)
        assert answer.headers["ETag"] == values.get("a").headers["ETag"]
        assert answer.json["size"] == len(new)


def test_white_space_around_an_object_changes_nothing_for_a_patch(values):
    values.put("a", ' \n{"a": 1} ')
    assert values.patch("a", ' \n{"b": 2} ').status_code == 200
    assert values.get("a").json == {"a": 1, "b": 2}


def test_what_a_patch_does_not_touch_keeps_its_text(values):
    values.put("a", '{"a": 1E5, "b": {"c": -0, "d": "\\ud83d"}, "e": [ 1.0 ]}')
    values.patch("a", '{"b": {"n": 1.50}, "f": 1E999}')
    kept = '{"a":1E5,"b":{"c":-0,"d":"\\ud83d","n":1.50},"e":[ 1.0 ],"f":1E999}'
    assert values.get("a").text == kept


def test_a_patch_keeps_the_content_type(values):
    values.put("a", "{}", "application/geo+json")
    patched = values.patch("a", '{"a":1}', content_type="application/merge-patch+json")
    assert patched.json["content_type"] == "application/geo+json"
    problem(values.patch("a", "{}", content_type=TEXT), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_value_that_is_not_json_cannot_be_merged(values):
    values.put("a", "{}", TEXT)
    problem(values.patch("a", "{}"), 409, "VALUE_NOT_JSON")
    assert values.get("a").text == "{}"


@pytest.mark.parametrize("name", [n for n in BROKEN if n != "UTF-16"])
def test_a_patch_must_be_json(name, mine):
    body, status, code = BROKEN[name]
    mine.put("a", "{}")
    problem(mine.patch("a", body), status, code)
    assert mine.get("a").text == "{}"


def test_a_patch_that_makes_a_value_too_large_is_refused(mine):
    mine.put("a", json.dumps({"a": "x" * 2_000_000}))
    problem(mine.patch("a", json.dumps({"b": "x" * 2_000_000})), 413, "TOO_LARGE")
    assert mine.patch("a", json.dumps({"a": "y" * 2_000_000})).status_code == 200


def test_a_divided_value_can_be_merged(values):
    values.put("a", json.dumps({"a": "x" * PART, "b": "é" * PART}, ensure_ascii=False))
    assert values.patch("a", '{"a": 1}').status_code == 200
    assert values.get("a").json == {"a": 1, "b": "é" * PART}


# Names

NAMES = [
    "a",
    "agent/state/1",
    "batch",
    "values",
    "a b+c",
    "a#b",
    "a?b=c&d",
    "100%",
    "%41",
    "%2F",
    "a;b:c@d",
    "a\\b",
    "\x00",
    "a\nb",
    "a\n",
    "\n",
    "a\r\n\tb",
    "\x7f",
    "é",
    "e\u0301",  # not the same
    "\U0001f600",
    "\uffff",
    "\ud7ff",
    "\ue000",
    "\U0010ffff",
    "VALUE#",
    "VPART#h#01",
    "#MSG#",
    "SESSION#01S",
    "STALE",
    "...",
    ".hidden",
    "a/.b",
    "<script>",
    '"',
    "x" * 700,
    "é" * 350,
    "/".join("x" * 350),
]


def test_names_may_have_any_characters(values):
    for number, name in enumerate(NAMES):
        put = values.put(name, str(number))
        assert (put.status_code, put.json["name"]) == (201, name), name
    for number, name in enumerate(NAMES):
        assert values.get(name).text == str(number)
        assert values.names(prefix=name, names_only="true")[0] == name
    assert values.names() == sorted(NAMES, key=str.encode)
    assert values.names(order="desc") == sorted(NAMES, key=str.encode, reverse=True)
    for name in NAMES:
        assert values.delete(name).status_code == 204
    assert values.names() == []


def test_names_in_a_batch_may_have_any_characters(values):
    puts = [{"put": name, "json": name} for name in NAMES]
    assert {r["status"] for r in values.batch(*puts).json["results"]} == {201}
    results = values.batch(*({"get": name} for name in NAMES)).json["results"]
    assert [(r["name"], r["json"]) for r in results] == [(name, name) for name in NAMES]
    values.batch(*({"delete": name} for name in NAMES), atomic=True)
    assert values.names() == []


REFUSED = ["x" * 701, "é" * 351, "/".join("x" * 351), "a//b", "a/", ".", "..", "a/./b", "a/../b"]


@pytest.mark.parametrize("name", REFUSED)
def test_other_names_are_refused(name, mine, items):
    address = mine.at(name).replace("/.", "/%2E").replace("//", "/%2F")
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        data = "{}" if method[0] == "P" else None
        answer = mine.client.request(method, address, data=data)
        error = problem(answer, 422, "VALIDATION_FAILED")["errors"][0]
        assert error["field"] == "name"
    for operation in ({"put": name, "json": 1}, {"get": name}, {"delete": name}):
        error = problem(mine.batch(operation), 422, "VALIDATION_FAILED")["errors"][0]
        assert error["field"] == f"operations[0].{next(iter(operation))}"
    assert items() == []


@pytest.mark.parametrize("name", ["", "/a", 5, None, ["a"]])
def test_a_name_in_a_batch_is_a_text_with_segments(name, mine):
    problem(mine.batch({"put": name, "json": 1}), 422, "VALIDATION_FAILED")


def test_half_a_pair_is_no_name(mine):
    for text in ('{"put": "\\ud83d", "json": 1}', '{"get": "\\ud83d"}', '{"list": "\\ud83d"}'):
        body = f'{{"operations": [{text}]}}'
        answer = mine.client.post(f"{mine.path}/batch", data=body)
        problem(answer, 422, "VALIDATION_FAILED")


ADDRESSES = {
    "%ff": 422,
    "%ed%a0%bd": 422,  # half a pair
    "%c0%af": 422,  # a slash in two bytes
    "a%2F%2Fb": 422,
    "a%2F..%2Fb": 422,
    "%F0%9F%98%80": 201,
    "a%2Fb": 201,
    "a%00b": 201,
}


def test_an_address_is_utf_8(mine, table, engine):
    """Over a real server, because the test client replaces what is not UTF-8."""
    with serve(table.name, engine.url, workers=1) as server:
        for name, status in ADDRESSES.items():
            answer = server.request(mine.client.token, "PUT", f"/values/{name}", 1)
            assert answer.status == status, name
    assert mine.names() == ["a\x00b", "a/b", "\U0001f600"]


@pytest.mark.parametrize("path", ["/values//a", "/values/a//b", "/values/a/../b", "/values/./a"])
def test_an_address_with_an_empty_or_dotted_segment_writes_nothing(path, mine, address):
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    headers = {"Authorization": f"Bearer {mine.client.token}", "Content-Type": JSON}
    connection.request("PUT", f"{API}{path}", b"1", headers)
    assert connection.getresponse().status in (308, 404, 422)
    connection.close()
    assert mine.names() == []


# Lists


def fill(values: Values, *names: str) -> None:
    for start in range(0, len(names), 100):
        puts = [{"put": name, "json": name} for name in names[start : start + 100]]
        assert values.batch(*puts).status_code == 200


def test_an_empty_list(values):
    assert values.page().json == {"values": [], "next_cursor": None}


def test_a_list_shows_the_values_in_the_order_of_their_names(values):
    fill(values, "b", "a/2", "a/10", "B", "é", "a")
    assert values.names() == ["B", "a", "a/10", "a/2", "b", "é"]
    assert values.names(order="asc") == values.names()
    assert values.names(order="desc") == values.names()[::-1]
    [first, *_] = values.page().json["values"]
    assert set(first) == {"name", "content_type", "etag", "size", "updated_at", "json"}
    [first, *_] = values.page(names_only="true").json["values"]
    assert set(first) == {"name", "content_type", "etag", "size", "updated_at"}


def test_a_prefix_is_the_beginning_of_the_names(values):
    fill(values, "a")
    fill(values, "a/1", "a/2", "a0", "ab", "b", "a/\U0010ffff", "\U0010ffffx")
    assert values.names(prefix="a/") == ["a/1", "a/2", "a/\U0010ffff"]
    assert values.names(prefix="a/", order="desc") == ["a/\U0010ffff", "a/2", "a/1"]
    assert values.names(prefix="a") == ["a", "a/1", "a/2", "a/\U0010ffff", "a0", "ab"]
    assert values.names(prefix="a/\U0010ffff") == ["a/\U0010ffff"]
    assert values.names(prefix="\U0010ffff") == ["\U0010ffffx"]
    assert values.names(prefix="c") == values.names(prefix="a/1/") == []
    assert values.names(prefix="") == values.names()


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_follow_each_other_by_cursors(order, values):
    names = [f"a/{n:02}" for n in range(7)]
    fill(values, *names, "a0", "A")
    for limit in (1, 2, 6, 7, 8):
        pages = list(values.pages(prefix="a/", order=order, limit=limit))
        found = [value["name"] for page in pages for value in page]
        assert found == (names if order == "asc" else names[::-1])
        assert {len(page) for page in pages[:-1]} <= {limit}
        assert len(pages) == -(-7 // limit)


def test_a_list_begins_after_a_name(values):
    fill(values, *(f"a/{n}" for n in range(5)), "a0", "A")
    assert values.names(prefix="a/", after="a/1") == ["a/2", "a/3", "a/4"]
    assert values.names(prefix="a/", after="a/2x") == ["a/3", "a/4"]
    assert values.names(prefix="a/", after="a/", order="asc")[0] == "a/0"
    assert values.names(prefix="a/", after="a/2/", order="desc") == ["a/2", "a/1", "a/0"]
    assert values.names(prefix="a/", after="a/0", order="desc") == []
    assert values.names(after="a/4") == ["a0"]
    for order, names in (("asc", ["a/2", "a/3", "a/4"]), ("desc", ["a/0"])):
        pages = list(values.pages(prefix="a/", after="a/1", order=order, limit=1))
        assert [[value["name"] for value in page] for page in pages] == [[name] for name in names]


def test_a_page_has_100_values_unless_told_and_1000_at_most(mine):
    fill(mine, *(f"{n:04}" for n in range(1_001)))
    assert len(mine.page().json["values"]) == 100
    assert [len(page) for page in mine.pages(limit=1_000, names_only="true")] == [1_000, 1]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 1_001},
        {"limit": "x"},
        {"order": "up"},
        {"names_only": "yes"},
        {"prefix": "x" * 701},
        {"after": "x" * 701},
        {"after": "a", "prefix": "b"},
        {"cursor": ""},
        {"color": "red"},
    ],
)
def test_other_queries_are_refused(query, mine):
    error = problem(mine.page(**query), 422, "VALIDATION_FAILED")["errors"][0]
    assert error["field"] == next(iter(query))


def test_a_cursor_is_for_its_own_list(values, alice):
    fill(values, "a/1", "a/2", "a/3", "b")
    cursor = values.page(prefix="a/", limit=1).json["next_cursor"]
    assert values.page(prefix="a/", cursor=cursor).json["values"][0]["name"] == "a/2"
    for query in ({}, {"prefix": "a"}, {"prefix": "a/", "order": "desc"}):
        problem(values.page(**query, cursor=cursor), 422, "INVALID_CURSOR")
    for place in PLACES:
        other = values_of(alice, place)
        if other.path != values.path:
            problem(other.page(prefix="a/", cursor=cursor), 422, "INVALID_CURSOR")
    bobs = values_of(alice, "user", user="bob")
    problem(bobs.page(prefix="a/", cursor=cursor), 422, "INVALID_CURSOR")


def test_a_forged_cursor_leads_nowhere_else(values):
    fill(values, "a/1", "a/2", "b")
    cursor = values.page(prefix="a/", limit=1).json["next_cursor"]
    elsewhere = moved(cursor, "a/1", "a/2")
    assert values.page(prefix="a/", cursor=elsewhere).json == {"values": [], "next_cursor": None}
    for place in ("a", "a0", "b", "\x00", "\U0010ffff"):
        forged = moved(cursor, "a/1", place)
        problem(values.page(prefix="a/", cursor=forged), 422, "INVALID_CURSOR")
    for forged in ("x", cursor[:10], f"A{cursor}", f"é{cursor}"):
        problem(values.page(prefix="a/", cursor=forged), 422, "INVALID_CURSOR")


def test_a_cursor_outlives_the_value_it_stands_at(values):
    fill(values, "a", "b", "c")
    cursor = values.page(limit=2).json["next_cursor"]
    values.delete("b")
    assert [v["name"] for v in values.page(cursor=cursor).json["values"]] == ["c"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_ends_before_it_is_too_large(order, values):
    for name in "abc":
        values.put(name, name.encode() * 2_000_000, BYTES)
    pages = list(values.pages(order=order))
    assert [len(page) for page in pages] == [1, 1, 1]
    found = [(v["name"], base64.b64decode(v["base64"])) for page in pages for v in page]
    expected = [(name, name.encode() * 2_000_000) for name in "abc"]
    assert found == (expected if order == "asc" else expected[::-1])
    assert len(list(values.pages(names_only="true"))) == 1


def test_a_page_of_names_ends_before_too_much_is_read(mine):
    """DynamoDB reads whole items, also for their names."""
    names = [f"{n:02}" for n in range(30)]
    for name in names:
        mine.put(name, b"x" * PART, BYTES)
    pages = list(mine.pages(names_only="true"))
    assert len(pages) > 1
    assert all(pages)
    assert [value["name"] for page in pages for value in page] == names


# Delete by prefix


def test_values_are_deleted_by_the_beginning_of_their_names(values, items):
    fill(values, "a/1", "a/2", "a0", "ab", "a")
    values.put("a/large", b"x" * MOST, BYTES)
    deleted = values.delete_many(prefix="a/")
    assert (deleted.status_code, deleted.json) == (200, {"deleted_values": 3})
    assert values.names() == ["a", "a0", "ab"]
    assert not any("VPART#" in item["SK"]["S"] for item in items())
    assert values.delete_many(prefix="a/").json == {"deleted_values": 0}
    assert values.delete_many(all="true").json == {"deleted_values": 3}
    assert values.names() == []


@pytest.mark.parametrize(
    "query", [{}, {"prefix": ""}, {"all": "yes"}, {"prefix": "a", "all": "true"}]
)
def test_what_to_delete_must_be_said(query, values):
    fill(values, "a")
    problem(values.delete_many(**query), 422, "VALIDATION_FAILED")
    assert values.names() == ["a"]


# Batches


def test_a_batch_is_carried_out_in_order(values):
    answer = values.batch(
        {"get": "a"},
        {"put": "a", "json": 1},
        {"get": "a"},
        {"put": "a", "base64": "/w=="},
        {"put": "b", "json": 2, "content_type": "application/geo+json"},
        {"get": "a"},
        {"list": "", "order": "desc", "names_only": True},
        {"delete": "a"},
        {"delete": "a"},
        {"get": "a"},
        {"list": "a"},
    )
    assert answer.status_code == 200
    results = answer.json["results"]
    assert [r["status"] for r in results] == [404, 201, 200, 200, 201, 200, 200, 204, 204, 404, 200]
    assert results[0]["code"] == "VALUE_NOT_FOUND"
    assert (results[2]["json"], results[5]["base64"]) == (1, "/w==")
    assert (results[2]["etag"], results[5]["etag"]) == (results[1]["etag"], results[3]["etag"])
    assert [value["name"] for value in results[6]["values"]] == ["b", "a"]
    assert set(results[6]["values"][0]) == {"name", "content_type", "etag", "size", "updated_at"}
    assert (results[10]["values"], results[10]["next_cursor"]) == ([], None)
    assert values.get("b").content_type == "application/geo+json"


def test_a_list_in_a_batch_has_pages(values):
    fill(values, "a", "b", "c")
    [first] = values.batch({"list": "", "limit": 2}).json["results"]
    [rest] = values.batch({"list": "", "cursor": first["next_cursor"]}).json["results"]
    assert [v["name"] for v in first["values"] + rest["values"]] == ["a", "b", "c"]
    [wrong] = values.batch({"list": "a", "cursor": first["next_cursor"]}).json["results"]
    assert (wrong["status"], wrong["code"]) == (422, "INVALID_CURSOR")


def test_the_others_of_a_batch_are_carried_out_if_one_fails(values):
    etag = values.put("b", "1").json["etag"]
    answer = values.batch(
        {"put": "a", "json": 1},
        {"put": "b", "json": 2, "if_none_match": "*"},
        {"put": "c", "json": 3, "if_match": "*"},
        {"put": "d", "json": 4},
        {"delete": "b", "if_match": "x"},
    )
    results = answer.json["results"]
    assert [r["status"] for r in results] == [201, 412, 412, 201, 412]
    assert [results[n]["etag"] for n in (1, 2, 4)] == [etag, None, etag]
    assert values.names() == ["a", "b", "d"]


def test_conditions_in_a_batch_take_etags_with_and_without_quotes(values):
    for quoted in (True, False):
        etag = values.put("a", "1").json["etag"]
        change = {"put": "a", "json": 2, "if_match": f'"{etag}"' if quoted else etag}
        assert values.batch(change).json["results"][0]["status"] == 200


def test_an_atomic_batch_writes_all(values):
    values.put("b", "1")
    answer = values.batch(
        {"put": "a", "json": 1, "if_none_match": "*"},
        {"delete": "b", "if_match": "*"},
        {"put": "c", "base64": base64.b64encode(b"x" * (PART + 1)).decode()},
        {"delete": "d"},
        atomic=True,
    )
    assert answer.status_code == 200
    assert [r["status"] // 100 for r in answer.json["results"]] == [2, 2, 2, 2]
    assert values.names() == ["a", "c"]


def test_members_that_are_null_count_as_left_out(values):
    nothing = dict.fromkeys(("delete", "get", "list", "base64", "content_type", "if_match"))
    rest = dict.fromkeys(("if_none_match", "order", "limit", "cursor", "names_only"))
    [put, got, listed] = values.batch(
        {"put": "a", "json": None, **nothing, **rest},
        {"get": "a", "put": None, **rest},
        {"list": "", "put": None, **rest},
    ).json["results"]
    assert (put["status"], got["json"], len(listed["values"])) == (201, None, 1)


def test_an_atomic_batch_writes_nothing_if_one_fails(values):
    etag = values.put("b", "1").json["etag"]
    before = values.page().json
    answer = values.batch(
        {"put": "a", "json": 1},
        {"put": "b", "json": 2, "if_none_match": "*"},
        {"delete": "c", "if_match": "*"},
        atomic=True,
    )
    assert answer.status_code == 412
    assert answer.json["code"] == "VALUES_NOT_WRITTEN"
    assert [r["status"] for r in answer.json["results"]] == [424, 412, 412]
    assert [r.get("etag") for r in answer.json["results"]] == [None, etag, None]
    assert values.page().json == before


def test_an_atomic_batch_writes_nothing_if_one_value_is_as_wanted_already(values):
    """It may be another client that has written it."""
    old = values.put("a", "1").json["etag"]
    values.put("a", "2")
    answer = values.batch(
        {"put": "a", "json": 2, "if_match": old}, {"put": "b", "json": 3}, atomic=True
    )
    assert answer.status_code == 412
    assert values.get("b").status_code == 404


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        ({}, ""),
        ({"put": "a"}, ""),
        ({"put": "a", "json": 1, "base64": ""}, ""),
        ({"put": "a", "get": "a", "json": 1}, ""),
        ({"put": "a", "base64": "a"}, ".base64"),
        ({"put": "a", "base64": "é"}, ".base64"),
        ({"put": "a", "base64": "_w=="}, ".base64"),
        ({"put": "a", "base64": "WzFd\n"}, ".base64"),
        ({"put": "a", "base64": "Ww==", "content_type": JSON}, ".base64"),
        ({"put": "a", "json": 1, "content_type": TEXT}, ".content_type"),
        ({"put": "a", "json": 1, "if_none_match": "x"}, ".if_none_match"),
        ({"put": "a", "json": 1, "limit": 1}, ".limit"),
        ({"delete": "a", "json": 1}, ".json"),
        ({"get": "a", "if_match": "x"}, ".if_match"),
        ({"list": "a", "limit": 0}, ".limit"),
        ({"list": "a", "limit": True}, ".limit"),
        ({"list": "a", "order": "up"}, ".order"),
        ({"list": "a", "names_only": 1}, ".names_only"),
        ({"list": "x" * 701}, ".list"),
        ({"put": "a", "json": 1, "color": "red"}, ".color"),
    ],
)
def test_an_operation_that_makes_no_sense_is_refused(operation, field, mine, items):
    answer = mine.batch({"put": "b", "json": 1}, operation)
    errors = problem(answer, 422, "VALIDATION_FAILED")["errors"]
    assert errors[0]["field"] == f"operations[1]{field}"
    assert items() == []


def test_null_is_a_value_in_a_batch(values):
    results = values.batch({"put": "a", "json": None}, {"get": "a"}).json["results"]
    assert results[1]["json"] is None
    assert values.get("a").text == "null"
    [result] = values.batch({"put": "a", "json": None}, atomic=True).json["results"]
    assert result["etag"] == results[0]["etag"]


def test_base64_of_json_is_kept_as_it_is(mine):
    text = base64.b64encode(b' {"a": 1E5} ').decode()
    mine.batch({"put": "a", "base64": text, "content_type": "application/json; charset=utf-8"})
    assert (mine.get("a").text, mine.get("a").content_type) == (' {"a": 1E5} ', JSON)


@pytest.mark.parametrize("body", [{}, {"operations": []}, {"operations": {}}, {"operations": [1]}])
def test_a_batch_has_operations(body, mine):
    problem(mine.client.post(f"{mine.path}/batch", body), 422, "VALIDATION_FAILED")


def test_an_atomic_batch_only_writes_and_each_name_once(mine, items):
    for operations in (
        [{"put": "a", "json": 1}, {"get": "a"}],
        [{"list": ""}],
        [{"put": "a", "json": 1}, {"delete": "a"}],
    ):
        answer = mine.batch(*operations, atomic=True)
        error = problem(answer, 422, "VALIDATION_FAILED")["errors"][0]
        assert error["field"] == "operations"
    assert items() == []


@pytest.mark.parametrize("atomic", [True, False])
def test_a_batch_has_100_operations_at_most(atomic, values):
    puts = [{"put": f"{n}", "json": n} for n in range(101)]
    answer = values.batch(*puts, atomic=atomic)
    assert problem(answer, 422, "VALIDATION_FAILED")["errors"][0]["field"] == "operations"
    assert values.batch(*puts[:100], atomic=atomic).status_code == 200
    assert len(values.names(limit=1_000)) == 100


def test_an_atomic_batch_has_100_items_at_most(values):
    """The record of an Idempotency-Key is one, and each part."""
    puts = [{"put": f"{n}", "json": n} for n in range(100)]
    answer = values.batch(*puts, atomic=True, headers=ONCE)
    assert "101 items" in problem(answer, 413, "TOO_LARGE")["detail"]
    divided = {"put": "0", "json": "x" * PART}
    assert values.batch(divided, *puts[1:], atomic=True).status_code == 413
    assert values.batch(divided, *puts[2:], atomic=True).status_code == 200


def test_an_atomic_batch_has_4_mb_at_most(values):
    puts = [{"put": f"{n}", "json": "x" * 1_000_000} for n in range(4)]
    problem(values.batch(*puts, {"put": "4", "json": "x" * 4}, atomic=True), 413, "TOO_LARGE")
    assert values.names() == []
    assert (
        values.batch(*puts[:3], {"put": "4", "json": "x" * 990_000}, atomic=True).status_code == 200
    )
    assert {r["status"] for r in values.batch(*puts).json["results"]} <= {200, 201}


@pytest.mark.parametrize("atomic", [True, False])
def test_a_value_in_a_batch_has_3_mb_at_most(atomic, mine):
    most = {"put": "a", "base64": base64.b64encode(b"x" * MOST).decode()}
    assert mine.batch(most, atomic=atomic).status_code == 200
    more = {"put": "a", "base64": base64.b64encode(b"x" * (MOST + 1)).decode()}
    problem(mine.batch(more, atomic=atomic), 413, "TOO_LARGE")


def test_what_has_no_room_in_an_answer_is_told(values):
    for name in "abc":
        values.put(name, b"x" * MOST, BYTES)
    gets = [{"get": name} for name in "abc"]
    results = values.batch(*gets).json["results"]
    assert [r["status"] for r in results] == [200, 413, 413]
    assert len(base64.b64decode(results[0]["base64"])) == MOST
    got, listed = values.batch(gets[0], {"list": ""}).json["results"]
    assert (got["status"], listed["status"], listed["values"]) == (200, 200, [])
    [rest] = values.batch({"list": "", "cursor": listed["next_cursor"]}).json["results"]
    assert [value["name"] for value in rest["values"]] == ["a"]


# Repeated batches


@pytest.mark.parametrize("atomic", [True, False])
def test_a_batch_that_is_sent_twice_writes_once(atomic, values):
    operations = [{"put": "a", "json": 1, "if_none_match": "*"}, {"delete": "b"}]
    first = values.batch(*operations, atomic=atomic, headers=ONCE)
    assert "Idempotent-Replayed" not in first.headers
    values.put("a", "2")
    values.put("b", "2")
    again = values.batch(*operations, atomic=atomic, headers=ONCE)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert [r["etag"] for r in again.json["results"][:1]] == [first.json["results"][0]["etag"]]
    assert (values.get("a").text, values.get("b").text) == ("2", "2")
    other = values.batch({"put": "a", "json": 3}, atomic=atomic, headers=ONCE)
    problem(other, 422, "IDEMPOTENCY_KEY_REUSED")


def test_a_batch_that_is_sent_twice_reads_again(values):
    operations = [{"put": "a", "json": 1}, {"get": "b"}]
    values.batch(*operations, headers=ONCE)
    values.put("b", "2")
    again = values.batch(*operations, headers=ONCE)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["results"][1]["json"] == 2


@pytest.mark.parametrize("atomic", [True, False])
def test_a_batch_that_failed_is_carried_out_when_it_is_sent_again(atomic, values):
    operations = [{"put": "a", "json": 1}, {"put": "b", "json": 1, "if_match": "*"}]
    values.batch(*operations, atomic=atomic, headers=ONCE)
    values.put("b", "0")
    again = values.batch(*operations, atomic=atomic, headers=ONCE)
    assert again.status_code == 200
    assert "Idempotent-Replayed" not in again.headers
    assert (values.get("a").text, values.get("b").text) == ("1", "1")


@pytest.mark.parametrize("atomic", [True, False])
def test_a_key_of_one_place_is_not_that_of_another(atomic, alice):
    for values in (*(values_of(alice, place) for place in PLACES), values_of(alice, "session")):
        answer = values.batch({"put": "a", "json": 1}, atomic=atomic, headers=ONCE)
        assert answer.status_code == 200
        assert "Idempotent-Replayed" not in answer.headers
        assert values.get("a").text == "1"


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("end", ["deleted", "erased"])
def test_a_retry_of_a_batch_whose_values_are_gone_gives_410(end, atomic, alice):
    session = alice.create_session(key="k")["session_id"]
    values = Values(alice, f"/sessions/{session}/values")
    put = {"put": "a", "json": 1}
    values.batch(put, atomic=atomic, headers=ONCE)
    alice.delete(f"/sessions/{session}" if end == "deleted" else "/sessions?confirm=all")
    problem(values.batch(put, atomic=atomic, headers=ONCE), 404, "SESSION_NOT_FOUND")
    alice.create_session(key="k")
    problem(values.batch(put, atomic=atomic, headers=ONCE), 410, "GONE_SINCE", ids=[])
    assert values.names() == []


# Who may, and who meets whom


def client_with(alice: Client, scope: str | None) -> Client:
    claims = {} if scope is None else {"scope": scope}
    return Client(alice.app, make_token("acme", "alice", **claims))


def routes(values: Values) -> list[tuple[str, Any]]:
    """All requests, each with the kind of scope that it needs."""
    return [
        ("read", lambda: values.get("a")),
        ("read", lambda: values.request("HEAD", "a")),
        ("read", lambda: values.page()),
        ("write", lambda: values.put("a")),
        ("write", lambda: values.patch("a", "{}")),
        ("write", lambda: values.delete("a")),
        ("write", lambda: values.delete_many(all="true")),
        ("write", lambda: values.batch({"put": "a", "json": 1})),
        ("write", lambda: values.batch({"put": "a", "json": 1}, atomic=True)),
    ]


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_scope_allows_its_kind_of_request(kind, values):
    scopes = "tenant-values" if values.path.startswith("/tenant") else "sessions"
    values.client = client_with(values.client, f"{scopes}:{kind}")
    for needed, send in routes(values):
        assert (send().status_code == 403) == (needed != kind)


def test_a_batch_that_reads_needs_to_read_and_to_write(values):
    scopes = "tenant-values" if values.path.startswith("/tenant") else "sessions"
    reads = [{"get": "a"}, {"list": ""}]
    for kind in ("read", "write"):
        values.client = client_with(values.client, f"{scopes}:{kind}")
        for read in reads:
            refused = values.batch({"put": "a", "json": 1}, read)
            missing = "write" if kind == "read" else "read"
            detail = problem(refused, 403, "INSUFFICIENT_SCOPE")["detail"]
            assert f"{scopes}:{missing}" in detail
    values.client = client_with(values.client, f"{scopes}:read {scopes}:write")
    assert values.batch(*reads).json["results"][1]["values"] == []


@pytest.mark.parametrize("scope", [None, "sessions:read sessions:write", ""])
def test_no_other_token_reaches_the_values_of_a_tenant(scope, alice):
    values = Values(client_with(alice, scope), "/tenant/values")
    for _, send in routes(values):
        assert send().status_code == 403


def test_the_scopes_of_a_tenants_values_open_nothing_else(alice):
    session = alice.create_session()["session_id"]
    client = client_with(alice, "tenant-values:read tenant-values:write")
    for path in ("/values", f"/sessions/{session}/values"):
        for _, send in routes(Values(client, path)):
            assert send().status_code == 403


def test_a_tenants_values_are_those_of_all_its_users(alice):
    values_of(alice, "tenant").put("a", "1")
    bobs = values_of(alice, "tenant", user="bob")
    assert bobs.get("a").text == "1"
    assert bobs.delete("a").status_code == 204
    assert values_of(alice, "tenant").names() == []


STRANGERS = [
    ("acme", "bob"),
    ("globex", "alice"),
    ("acme", "#VALUES"),
    ("acme#", "VALUES"),
    ("acme", "VALUE#"),
    ("acme#alice", "x"),
]


@pytest.mark.parametrize(("tenant", "user"), STRANGERS)
def test_the_values_of_two_users_never_meet(tenant, user, alice):
    mine = values_of(alice, "session")
    others = [values_of(alice, place, tenant, user) for place in PLACES]
    alices = [mine, values_of(alice, "user"), values_of(alice, "tenant")]
    for number, values in enumerate(alices):
        values.put("a", str(number))
    for place, values in zip(PLACES, others, strict=True):
        if place == "tenant" and tenant == "acme":
            continue
        assert values.get("a").status_code == 404
        assert values.names() == []
        assert values.delete_many(all="true").json == {"deleted_values": 0}
        values.put("a", '"other"')
        assert values.names() == ["a"]
    problem(Values(others[0].client, mine.path).get("a"), 404, "SESSION_NOT_FOUND")
    assert [values.get("a").text for values in alices] == ["0", "1", "2"]


def test_the_values_of_two_sessions_never_meet(alice):
    one, other = values_of(alice, "session"), values_of(alice, "session")
    one.put("a", "1")
    assert other.names() == []
    assert other.delete("a").status_code == 404
    assert one.get("a").text == "1"


def test_values_are_not_messages(alice):
    values = values_of(alice, "session")
    session = values.path.removesuffix("/values")
    for name in ("#MSG#", "MSG", "INFO", "a"):
        values.put(name, '{"content":"x","metadata":{}}')
    alice.append(session.split("/")[2], "Hello")
    shown = alice.get(session).json
    assert ([m["content"] for m in shown["messages"]], shown["metadata"]) == (["Hello"], {})
    assert values.names() == ["#MSG#", "INFO", "MSG", "a"]


def test_an_agent_uses_the_values_of_the_user_it_acts_for(alice):
    agent = Client(alice.app, make_token("acme", "agent", scope=f"{SCOPES} sessions:act-for-user"))
    path, headers = "/values/a", {"Act-For-User": "alice"}
    assert agent.put(path, data="1", headers=headers).status_code == 201
    assert values_of(alice, "user").get("a").text == "1"
    assert agent.get(path).status_code == 404
