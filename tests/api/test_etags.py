"""If-Match and If-None-Match as RFC 9110 has them (sections 8.8.3, 13.1.1 and 13.1.2)."""

import pytest

from tests.people import problem


@pytest.fixture
def session(alice):
    """At version 105."""
    session_id = alice.create_session()["session_id"]
    key = {"PK": {"S": "acme#alice"}, "SK": {"S": f"SESSION#{session_id[5:]}"}}
    table = alice.app.extensions["table"]
    table.client.update_item(
        TableName=table.name,
        Key=key,
        UpdateExpression="SET version = :version",
        ExpressionAttributeValues={":version": {"N": "105"}},
    )
    return session_id


HOLDS = {
    "alone": '"105"',
    "any": "*",
    "any, with blanks": " * ",
    "in a list": '"7", "105"',
    "first of a list": '"105","7"',
    "with foreign tags": '"x", W/"7", "a,b", "é", "", "105"',
    "with empty elements": ',, "105" ,\t,',
    "among weak ones": 'W/"104", "105"',
    "beside a weak one of its own": 'W/"105", "105"',
}

HOLDS_NOT = {
    "another": '"104"',
    "weak": 'W/"105"',
    "not quoted": "105",
    "leading zero": '"0105"',
    "sign": '"+105"',
    "blank inside": '" 105"',
    "fraction": '"105.0"',
    "digits of another script": '"١٠٥"',
    "within another": '"a,"105","',
    "not quoted, in a list": '"7", 105',
    "quoted once": '"105',
    "half quoted": '105"',
    "lower-case weak": 'w/"105"',
    "no comma": '"7" "105"',
    "a list that goes wrong later": '"105", 7',
    "any, within a list": '*, "7"',
    "any, quoted": '"*"',
    "twice any": "**",
    "single quotes": "'105'",
    "none": "",
    "commas": ",,,",
    "far too long": '"' + "9" * 5000 + '"',
}


def put(client, session, if_match):
    return client.put(f"/sessions/{session}", {"title": "New"}, headers={"If-Match": if_match})


@pytest.mark.parametrize("if_match", HOLDS.values(), ids=HOLDS)
def test_if_match_holds_if_the_current_tag_is_listed(alice, session, if_match):
    assert put(alice, session, latin(if_match)).json["version"] == 106


@pytest.mark.parametrize("if_match", HOLDS_NOT.values(), ids=HOLDS_NOT)
def test_if_match_fails_for_anything_else(alice, session, if_match):
    problem(put(alice, session, latin(if_match)), 412, "PRECONDITION_FAILED")
    path, headers = f"/sessions/{session}", {"If-Match": latin(if_match)}
    said = {"role": "user", "content": "x"}
    problem(alice.post(f"{path}/messages", said, headers=headers), 412, "PRECONDITION_FAILED")
    problem(alice.delete(path, headers=headers), 412, "PRECONDITION_FAILED")
    found = alice.get(path).json
    assert (found["version"], found["messages"]) == (105, [])


def latin(header):
    """The text of a header as WSGI passes it on."""
    return header.encode().decode("latin-1")


@pytest.mark.parametrize("position", [0, 50, 99])
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_the_current_tag_counts_at_any_position_among_100(alice, session, position, method):
    others = [f'"{version}"' for version in range(200, 299)]
    headers = {"If-Match": ", ".join([*others[:position], '"105"', *others[position:]])}
    path = f"/sessions/{session}" + ("/messages" if method == "POST" else "")
    body = {"PUT": {"title": "x"}, "POST": {"role": "user", "content": "x"}}.get(method)
    assert alice.request(method, path, json=body, headers=headers).status_code in (200, 201)


def test_more_than_100_versions_are_refused_and_nothing_is_written(alice, session, items):
    before = items()
    tags = [f'"{version}"' for version in [*range(200, 300), 105]]
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
    tags = [f'"x{n}"' for n in range(300)] + ['W/"7"', '"07"', '"8"', '"8"'] * 60 + ['"105"']
    assert put(alice, session, ",".join(tags)).status_code == 200


@pytest.mark.parametrize(
    "if_none_match",
    [
        '"105"',
        'W/"105"',
        "*",
        '"7", W/"105"',
        ", ".join([f'"{version}"' for version in range(200, 600)] + ['"105"']),
    ],
)
def test_if_none_match_compares_weakly_with_any_number_of_tags(alice, session, if_none_match):
    answer = alice.get(f"/sessions/{session}", headers={"If-None-Match": if_none_match})
    assert (answer.status_code, answer.headers["ETag"], answer.data) == (304, '"105"', b"")


@pytest.mark.parametrize("if_none_match", HOLDS_NOT.values(), ids=HOLDS_NOT)
def test_if_none_match_matches_nothing_else(alice, session, if_none_match):
    answer = alice.get(f"/sessions/{session}", headers={"If-None-Match": latin(if_none_match)})
    assert answer.status_code == (304 if if_none_match == 'W/"105"' else 200)


def test_if_match_holds_if_the_clock_lags(alice, session, clock):
    """The first id that is tried is too small, but the version is right."""
    clock.move(seconds=60)
    alice.append(session)
    clock.move(seconds=-3600)
    said, path = {"role": "user", "content": "x"}, f"/sessions/{session}/messages"
    problem(alice.post(path, said, headers={"If-Match": '"105"'}), 412, "PRECONDITION_FAILED")
    assert alice.post(path, said, headers={"If-Match": '"106"'}).status_code == 201


@pytest.mark.parametrize("filler", [" ", "\t", ",", '"', 'W/"', '"",', " ,", '"a" '])
def test_the_time_for_a_header_is_linear_in_its_length(alice, session, filler):
    """The work grows linearly with the header's length, not quadratically."""
    headers = {"If-Match": filler * (60_000 // len(filler)) + "x"}
    problem(
        alice.put(f"/sessions/{session}", {"title": "x"}, headers=headers),
        412,
        "PRECONDITION_FAILED",
    )
