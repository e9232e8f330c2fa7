"""If-Match and If-None-Match as RFC 9110 has them (sections 8.8.3, 13.1.1 and 13.1.2)."""

import pytest

from tests.people import problem

OTHER, NOW, LATER = (f"01ARZ3NDEKTSV4RRFFQ69G5F{end}" for end in ("A0", "A1", "A2"))


@pytest.fixture
def session(alice):
    """Its ETag is `NOW`."""
    session_id = alice.create_session()["session_id"]
    key = {"PK": {"S": "acme#alice"}, "SK": {"S": f"SESSION#{session_id[5:]}"}}
    table = alice.app.extensions["table"]
    table.client.update_item(
        TableName=table.name,
        Key=key,
        UpdateExpression="SET last_ulid = :version",
        ExpressionAttributeValues={":version": {"S": NOW}},
    )
    return session_id


def others(count):
    """ETags of other versions."""
    return [f'"01ARZ3NDEKTSV4RRFFQ69G{number:04}"' for number in range(count)]


HOLDS = {
    "alone": f'"{NOW}"',
    "any": "*",
    "any, with blanks": " * ",
    "in a list": f'"{OTHER}", "{NOW}"',
    "first of a list": f'"{NOW}","{OTHER}"',
    "with foreign tags": f'"x", W/"{OTHER}", "a,b", "é", "", "{NOW}"',
    "with empty elements": f',, "{NOW}" ,\t,',
    "among weak ones": f'W/"{OTHER}", "{NOW}"',
    "beside a weak one of its own": f'W/"{NOW}", "{NOW}"',
}

HOLDS_NOT = {
    "another": f'"{OTHER}"',
    "weak": f'W/"{NOW}"',
    "not quoted": f"{NOW}",
    "leading zero": f'"0{NOW}"',
    "sign": f'"+{NOW}"',
    "blank inside": f'" {NOW}"',
    "fraction": f'"{NOW}.0"',
    "lower case": f'"{NOW.lower()}"',
    "a digit of another script": f'"{NOW[:-1]}١"',
    "a session's id": f'"sess_{NOW}"',
    "within another": f'"a,"{NOW}","',
    "not quoted, in a list": f'"{OTHER}", {NOW}',
    "quoted once": f'"{NOW}',
    "half quoted": f'{NOW}"',
    "lower-case weak": f'w/"{NOW}"',
    "no comma": f'"{OTHER}" "{NOW}"',
    "a list that goes wrong later": f'"{NOW}", 7',
    "any, within a list": f'*, "{OTHER}"',
    "any, quoted": '"*"',
    "twice any": "**",
    "single quotes": f"'{NOW}'",
    "none": "",
    "commas": ",,,",
    "far too long": '"' + "9" * 5000 + '"',
}


def put(client, session, if_match):
    return client.put(f"/sessions/{session}", {"title": "New"}, headers={"If-Match": if_match})


@pytest.mark.parametrize("if_match", HOLDS.values(), ids=HOLDS)
def test_if_match_holds_if_the_current_tag_is_listed(alice, session, if_match):
    assert put(alice, session, latin(if_match)).json["version"] == 2


@pytest.mark.parametrize("if_match", HOLDS_NOT.values(), ids=HOLDS_NOT)
def test_if_match_fails_for_anything_else(alice, session, if_match):
    problem(put(alice, session, latin(if_match)), 412, "PRECONDITION_FAILED")
    path, headers = f"/sessions/{session}", {"If-Match": latin(if_match)}
    said = {"role": "user", "content": "x"}
    problem(alice.post(f"{path}/messages", said, headers=headers), 412, "PRECONDITION_FAILED")
    problem(alice.delete(path, headers=headers), 412, "PRECONDITION_FAILED")
    found = alice.get(path).json
    assert (found["version"], found["messages"]) == (1, [])


def latin(header):
    """The text of a header as WSGI passes it on."""
    return header.encode().decode("latin-1")


@pytest.mark.parametrize("position", [0, 50, 99])
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_the_current_tag_counts_at_any_position_among_100(alice, session, position, method):
    tags = others(99)
    headers = {"If-Match": ", ".join([*tags[:position], f'"{NOW}"', *tags[position:]])}
    path = f"/sessions/{session}" + ("/messages" if method == "POST" else "")
    body = {"PUT": {"title": "x"}, "POST": {"role": "user", "content": "x"}}.get(method)
    assert alice.request(method, path, json=body, headers=headers).status_code in (200, 201)


def test_more_than_100_versions_are_refused_and_nothing_is_written(alice, session, items):
    before = items()
    tags = [*others(100), f'"{NOW}"']
    for method, path, body in (
        ("PUT", f"/sessions/{session}", {"title": "x"}),
        ("DELETE", f"/sessions/{session}", None),
        ("POST", f"/sessions/{session}/messages", {"role": "user", "content": "x"}),
    ):
        headers = {"If-Match": ", ".join(tags)}
        answer = alice.request(method, path, json=body, headers=headers)
        [error] = problem(answer, 422, "VALIDATION_FAILED")["errors"]
        assert (error["location"], error["field"]) == ("headers", "If-Match")
        assert "100" in error["message"]
    assert items() == before


def test_tags_that_cannot_be_a_version_do_not_count_towards_the_100(alice, session):
    weak, wrong, twice = f'W/"{OTHER}"', f'"0{OTHER}"', f'"{LATER}"'
    tags = [f'"x{n}"' for n in range(300)] + [weak, wrong, twice, twice] * 60 + [f'"{NOW}"']
    assert put(alice, session, ",".join(tags)).status_code == 200


@pytest.mark.parametrize(
    "if_none_match",
    [
        f'"{NOW}"',
        f'W/"{NOW}"',
        "*",
        f'"{OTHER}", W/"{NOW}"',
        ", ".join([*others(400), f'"{NOW}"']),
    ],
)
def test_if_none_match_compares_weakly_with_any_number_of_tags(alice, session, if_none_match):
    answer = alice.get(f"/sessions/{session}", headers={"If-None-Match": if_none_match})
    assert (answer.status_code, answer.headers["ETag"], answer.data) == (304, f'"{NOW}"', b"")


@pytest.mark.parametrize("if_none_match", HOLDS_NOT.values(), ids=HOLDS_NOT)
def test_if_none_match_matches_nothing_else(alice, session, if_none_match):
    answer = alice.get(f"/sessions/{session}", headers={"If-None-Match": latin(if_none_match)})
    assert answer.status_code == (304 if if_none_match == f'W/"{NOW}"' else 200)


def test_if_match_holds_if_the_clock_lags(alice, session, clock):
    """The first id that is tried is too small, but the version is right."""
    clock.move(seconds=60)
    said, path = {"role": "user", "content": "x"}, f"/sessions/{session}/messages"
    current = alice.post(path, said).headers["Session-ETag"]
    clock.move(seconds=-3600)
    problem(alice.post(path, said, headers={"If-Match": f'"{NOW}"'}), 412, "PRECONDITION_FAILED")
    assert alice.post(path, said, headers={"If-Match": current}).status_code == 201


@pytest.mark.parametrize("filler", [" ", "\t", ",", '"', 'W/"', '"",', " ,", '"a" '])
def test_the_time_for_a_header_is_linear_in_its_length(alice, session, filler):
    """The work grows linearly with the header's length, not quadratically."""
    headers = {"If-Match": filler * (60_000 // len(filler)) + "x"}
    problem(
        alice.put(f"/sessions/{session}", {"title": "x"}, headers=headers),
        412,
        "PRECONDITION_FAILED",
    )
