"""Which forms of a request's body are accepted: JSON in UTF-8, also as gzip."""

import base64
import gzip
import json
import tracemalloc
import zlib

import pytest
from gunicorn.http.errors import InvalidChunkSize

from tests.people import problem

SESSION = json.dumps({"domain_id": "d", "title": "Köprü 🌉"}).encode()


def post(alice, body, **headers):
    return alice.post("/sessions", data=body, headers=headers)


@pytest.mark.parametrize("name", ["gzip", "GZIP", " gzip ", "x-gzip"])
def test_gzip_is_accepted(alice, name):
    answer = alice.post(
        "/sessions", data=gzip.compress(SESSION), headers={"Content-Encoding": name}
    )
    assert answer.status_code == 201, answer.text
    assert answer.json["title"] == "Köprü 🌉"


@pytest.mark.parametrize("name", ["", "identity", "Identity"])
def test_an_uncompressed_body_may_be_declared_as_identity(alice, name):
    answer = alice.post("/sessions", data=SESSION, headers={"Content-Encoding": name})
    assert answer.status_code == 201


@pytest.mark.parametrize("name", ["br", "deflate", "zstd", "gzip, gzip", "base64", "aws-chunked"])
def test_another_coding_is_refused_with_the_accepted_ones(alice, name):
    answer = alice.post("/sessions", data=SESSION, headers={"Content-Encoding": name})
    assert "gzip" in problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")["detail"]
    assert answer.headers["Accept-Encoding"] == "gzip, identity"


@pytest.mark.parametrize(
    "body",
    [
        SESSION,
        b"",
        b"\x1f\x8b",
        gzip.compress(SESSION)[:-5],
        gzip.compress(SESSION)[:-8] + bytes(8),
        zlib.compress(SESSION),
        gzip.compress(SESSION) + b"more",
        gzip.compress(SESSION[:5]) + gzip.compress(SESSION[5:]),
        gzip.compress(b""),
        gzip.compress(gzip.compress(SESSION)),
    ],
    ids=["not gzip", "empty", "head", "cut", "sum", "zlib", "more", "two", "nothing", "twice"],
)
def test_broken_gzip_is_malformed(alice, body):
    answer = alice.post("/sessions", data=body, headers={"Content-Encoding": "gzip"})
    problem(answer, 400, "MALFORMED_JSON")


def test_a_body_that_unpacks_to_more_than_the_limit_is_refused(alice, app):
    """It unpacks to 1,000 times its size. No more than the limit is ever unpacked."""
    most = app.config["MAX_CONTENT_LENGTH"]
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b" " * 1_000_000) for _ in range(200)) + packer.flush()
    tracemalloc.start()
    answer = alice.post("/sessions", data=bomb, headers={"Content-Encoding": "gzip"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(most) in problem(answer, 413, "TOO_LARGE")["detail"]
    assert peak < 4 * most

    fits = gzip.compress(SESSION.ljust(most))
    assert post(alice, fits, **{"Content-Encoding": "gzip"}).status_code == 201
    over = gzip.compress(SESSION.ljust(most + 1))
    problem(post(alice, over, **{"Content-Encoding": "gzip"}), 413, "TOO_LARGE")


def test_a_body_that_api_gateway_has_unpacked_is_accepted(app, alice):
    """API Gateway unpacks before it calls the function. The header may still be there."""
    answer = app.test_client().post(
        "/api/v1/sessions",
        data=SESSION,
        headers={"Authorization": f"Bearer {alice.token}", "Content-Encoding": "gzip"},
        content_type="application/json",
        environ_overrides={"lambda.event": {}},
    )
    assert answer.status_code == 201


@pytest.mark.parametrize("text", [SESSION, b"[1]", b"{}", json.dumps({"a": "b" * 99}).encode()])
def test_base64_is_refused_with_a_hint_to_send_text(alice, text):
    answer = post(alice, base64.b64encode(text))
    assert "base64" in problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")["detail"]


@pytest.mark.parametrize("text", [b"example text", b"every", b"true", b"1234"])
def test_json_that_looks_like_base64_is_not_reported_as_base64(alice, text):
    assert "base64" not in post(alice, text).json["detail"]


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8", "us-ascii"])
def test_utf_8_may_be_declared(alice, charset):
    kind = f"application/json; charset={charset}"
    assert post(alice, SESSION, **{"Content-Type": kind}).status_code == 201


@pytest.mark.parametrize("charset", ["latin-1", "iso-8859-1", "utf-16", "utf-16le", "utf-32", "x"])
def test_another_charset_is_refused_because_json_is_utf_8(alice, charset):
    kind = f"application/json; charset={charset}"
    answer = post(alice, SESSION, **{"Content-Type": kind})
    assert "UTF-8" in problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")["detail"]


@pytest.mark.parametrize("name", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_an_undeclared_other_charset_is_refused_too(alice, name):
    answer = post(alice, SESSION.decode().encode(name))
    assert answer.status_code in (400, 415)
    assert "UTF-8" in answer.json["detail"]


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "multipart/form-data; boundary=x", "application/octet-stream", "json", ""],
)
def test_another_content_type_is_refused_with_the_accepted_one(alice, kind):
    answer = post(alice, SESSION, **{"Content-Type": kind})
    assert "application/json" in problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")["detail"]
    assert answer.headers["Accept"] == "application/json"


class Broken:
    """A body that the server cannot read, as gunicorn has it where a chunk is no chunk."""

    def read(self, *_):
        raise InvalidChunkSize(b"zz")

    readline = readinto = read


def test_a_body_that_does_not_arrive_whole_is_no_fault_of_ours(app, alice):
    environ = {"wsgi.input": Broken(), "wsgi.input_terminated": True}
    answer = app.test_client().post(
        "/api/v1/sessions",
        headers={"Authorization": f"Bearer {alice.token}", "Content-Type": "application/json"},
        environ_overrides=environ,
    )
    assert "whole" in problem(answer, 400, "MALFORMED_JSON")["detail"]
