"""Values on Lambda, as the app sees a request there: API Gateway's event in `lambda.event`, with
base64 decoded by `app.lambda_handler`. tests/deploy/test_bytes.py has the whole way."""

import base64
import gzip
import json
from urllib.parse import quote, unquote

import pytest

from app.http.limits import MAX_EVENT_BODY
from app.values.rules import MAX_VALUE_BYTES
from tests.people import API

OCTETS = "application/octet-stream"
EVERY_BYTE = bytes(range(256))


@pytest.fixture
def send(app, alice):
    """Sends a request as Zappa does. `binary` is whether API Gateway has taken the type for one."""

    def send(method, path, body=b"", binary=True, **headers):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        event = {"path": f"{API}{path}", "isBase64Encoded": binary}
        event["body"] = body if binary else body.decode("utf-8", "replace")
        return app.test_client().open(
            # Zappa decodes the path once, and replaces what is not UTF-8.
            API + quote(unquote(path)),
            method=method,
            data=body,
            headers={"Authorization": f"Bearer {alice.token}", **sent},
            environ_overrides={"lambda.event": event},
        )

    return send


def test_bytes_travel_as_octets_with_their_own_type_beside(send):
    put = send("PUT", "/values/a", EVERY_BYTE, Content_Type=OCTETS, Value_Type="image/png")
    assert put.status_code == 201, put.text
    got = send("GET", "/values/a", Accept=OCTETS)
    assert (got.status_code, got.content_type) == (200, OCTETS)
    assert got.headers["Value-Type"] == "image/png"
    # The handler takes this header away.
    assert got.headers["Content-Transfer-Encoding"] == "base64"
    assert base64.b64decode(got.data, validate=True) == EVERY_BYTE
    assert got.headers["Content-Length"] == "256"  # of what the client gets
    assert got.headers["ETag"] == put.headers["ETag"]


@pytest.mark.parametrize("accept", [None, "*/*", "application/*", f"image/png, {OCTETS}"])
def test_without_the_accept_that_api_gateway_decodes_for_it_is_406(send, accept):
    send("PUT", "/values/a", EVERY_BYTE, Content_Type=OCTETS)
    answer = send("GET", "/values/a", **({"Accept": accept} if accept else {}))
    assert answer.status_code == 406
    assert answer.content_type == "application/problem+json"
    assert answer.json["code"] == "NOT_ACCEPTABLE"
    assert "Accept: application/octet-stream" in answer.json["detail"]


@pytest.mark.parametrize("accept", [OCTETS, f"{OCTETS},*/*;q=0.5", "Application/Octet-Stream"])
def test_only_the_first_type_of_accept_counts(send, accept):
    send("PUT", "/values/a", EVERY_BYTE, Content_Type=OCTETS)
    assert send("GET", "/values/a", Accept=accept).status_code == 200


def test_head_and_not_modified_need_no_accept(send):
    etag = send("PUT", "/values/a", EVERY_BYTE, Content_Type=OCTETS).headers["ETag"]
    head = send("HEAD", "/values/a")
    assert (head.status_code, head.content_type) == (200, OCTETS)
    assert head.headers["Content-Length"] == "256"
    assert head.headers["Value-Type"] == OCTETS
    assert send("GET", "/values/a", If_None_Match=etag).status_code == 304


def test_json_travels_as_text(send):
    text = '{"a": 1e400, "b": "ü"}'.encode()
    put = send("PUT", "/values/a", text, binary=False, Content_Type="application/geo+json")
    assert put.status_code == 201
    for accept in ("*/*", OCTETS):
        got = send("GET", "/values/a", Accept=accept)
        assert (got.content_type, got.data) == ("application/geo+json", text)
        assert "Content-Transfer-Encoding" not in got.headers


def test_json_sent_as_bytes_is_json(send):
    put = send("PUT", "/values/a", b'{"a":1}', Content_Type=OCTETS, Value_Type="application/json")
    assert put.status_code == 201
    assert send("GET", "/values/a").json == {"a": 1}


@pytest.mark.parametrize("kind", ["text/plain", "image/png", OCTETS])
def test_bytes_that_api_gateway_passes_on_as_text_are_415(send, kind):
    """For `OCTETS`, this is an API without the binary type."""
    answer = send("PUT", "/values/a", b"x", binary=False, Content_Type=kind)
    assert (answer.status_code, answer.json["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert OCTETS in answer.headers["Accept"]
    assert send("GET", "/values/a").status_code == 404


def test_an_empty_value_comes_back(send):
    assert send("PUT", "/values/a", b"", Content_Type=OCTETS).status_code == 201
    got = send("GET", "/values/a", Accept=OCTETS)
    assert (got.status_code, got.data) == (200, b"")
    assert "Content-Transfer-Encoding" not in got.headers


def test_what_may_be_packed_once_or_twice_is_refused(send):
    """API Gateway unpacks a body and may leave the header. A value that is gzip then looks like a
    body that is still packed."""
    packed = {"Content_Type": OCTETS, "Content_Encoding": "gzip"}
    answer = send("PUT", "/values/a", gzip.compress(b"x"), **packed)
    assert answer.status_code == 415
    assert "without Content-Encoding" in answer.json["detail"]
    assert send("PUT", "/values/a", b"unpacked", **packed).status_code == 201
    plain = send("PUT", "/values/a", gzip.compress(b"x"), Content_Type=OCTETS)
    assert plain.status_code == 200


def test_the_largest_value_fits_and_a_larger_body_is_told_its_size_in_the_event(send):
    assert send("PUT", "/values/a", b"\xff" * MAX_VALUE_BYTES, Content_Type=OCTETS).is_json
    got = send("GET", "/values/a", Accept=OCTETS)
    assert len(got.data) == MAX_VALUE_BYTES // 3 * 4
    assert base64.b64decode(got.data) == b"\xff" * MAX_VALUE_BYTES

    most = MAX_EVENT_BODY // 4 * 3
    answer = send("PUT", "/values/a", b"\xff" * most, Content_Type=OCTETS)
    assert (answer.status_code, f"{MAX_VALUE_BYTES:,}" in answer.json["detail"]) == (413, True)
    answer = send("PUT", "/values/a", b"\xff" * (most + 1), Content_Type=OCTETS)
    assert answer.status_code == 413
    size = len(base64.b64encode(b"\xff" * (most + 1)))
    assert f"{size:,} bytes in Lambda's event, as base64" in answer.json["detail"]


@pytest.mark.parametrize("path", ["%ff", "a/%C3", "caf%E9"])
def test_a_name_that_is_not_utf_8_is_refused_and_not_replaced(send, path):
    answer = send("PUT", f"/values/{path}", b"1", binary=False, Content_Type="application/json")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["message"] == "Not UTF-8."
    assert json.loads(send("GET", "/values").text)["values"] == []


def test_the_replacement_character_itself_is_a_name(send):
    path = f"/values/{quote('�')}"
    assert send("PUT", path, b"1", binary=False, Content_Type="application/json").is_json
    assert send("GET", path).json == 1
