"""Ids, cursors and splitting of messages: logic without I/O."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from app.errors import InvalidCursor
from app.messages.items import assemble
from app.messages.model import Message, NewMessage
from app.table import ids
from app.table.cursors import make_cursor, read_cursor
from app.table.item_sizes import split

A, B = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAW"

SAID = {"message_role": "user", "created_by": "alice"}

ULIDS = st.integers(0, 2**128 - 100).map(lambda number: str(ULID.from_int(number)))


@given(st.integers(0, 2**48 - 1), ULIDS, st.integers(1, 50))
def test_new_ids_rise_and_follow_the_last(now, last, count):
    taken = ids.UlidSource(lambda: now).new(count, after=last)
    assert sorted(set(taken)) == taken
    assert taken[0] > last
    assert ids.milliseconds(taken[0]) >= min(now, ids.milliseconds(last))


@given(ULIDS)
def test_an_id_is_parsed_back(ulid):
    assert ids.parse("msg_", f"msg_{ulid}") == ulid
    assert ids.parse("sess_", f"msg_{ulid}") is None
    assert ids.parse("msg_", f"msg_{ulid.lower()}") in (None, ulid)


@given(st.text())
def test_any_text_is_parsed_as_an_id_or_none(text):
    parsed = ids.parse("msg_", text)
    assert parsed is None or text == f"msg_{parsed}"


@given(st.text(), st.text())
def test_a_cursor_is_read_back_on_its_own_list_only(scope, position):
    cursor = make_cursor(scope, position)
    assert cursor.isascii()
    assert read_cursor(scope, cursor) == position
    with pytest.raises(InvalidCursor):
        read_cursor(scope + "x", cursor)
    for forged in (f" {cursor}", f"{cursor}=", f"{cursor}\n", f"{cursor}é"):
        with pytest.raises(InvalidCursor):
            read_cursor(scope, forged)


@given(st.text())
def test_arbitrary_text_is_not_a_cursor(text):
    with pytest.raises(InvalidCursor):
        read_cursor("list", text)


@given(st.text(min_size=1), st.integers(4, 20), st.booleans())
def test_a_split_message_is_joined_in_either_order(text, size, backwards):
    body = NewMessage("user", text).body()
    pieces = split(body, size)
    assert all(len(piece.encode()) <= size for piece in pieces)
    sk = f"SESSION#01S#MSG#{A}"
    items = [
        {"SK": f"{sk}#{n:02}" if n else sk, "body": piece, "parts": len(pieces), **SAID}
        for n, piece in enumerate(pieces)
    ]
    if len(pieces) < 100:
        [message] = assemble("01S", items[::-1] if backwards else items)
        assert message == Message("01S", A, body, "user", "alice")
        assert message.content == text


@pytest.mark.parametrize("backwards", [False, True])
def test_an_incomplete_message_does_not_affect_others(backwards):
    body = NewMessage("user", "x").body()
    half = [{"SK": f"SESSION#01S#MSG#{A}#01", "body": "x", "parts": 3}]
    whole = [
        {"SK": f"SESSION#01S#MSG#{B}", "body": body[:9], "parts": 2, **SAID},
        {"SK": f"SESSION#01S#MSG#{B}#01", "body": body[9:], "parts": 2},
    ]
    items = [*half, *whole]
    messages = list(assemble("01S", items[::-1] if backwards else items))
    assert messages == [Message("01S", B, body, "user", "alice")]
