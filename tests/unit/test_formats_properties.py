"""Whatever JSON a client calls a provider's message: nothing raises, and nothing is made up."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import formats
from app.formats.history import Entry, unanswered
from tests.provider_messages import CASES

NAMES = st.sampled_from(sorted(formats.FORMATS))
# The words that the formats look for, so that the values come near to what they read.
WORDS = sorted(
    {
        word
        for case in CASES
        if len(json.dumps(case.native)) < 4_000
        for word in json.dumps(case.native).split('"')[1::2]
        if len(word) < 40
    }
)
TEXT = st.one_of(
    st.sampled_from(WORDS),
    st.text(max_size=5),
    st.sampled_from(["\ud83d", "\udf19", "\ud83d\udf19"]),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=5)),
    max_leaves=15,
)


def check(name, value):
    before = copy.deepcopy(value)
    role = formats.role(name, value)
    assert role is None or role.isascii()
    formats.text(name, value).encode()  # no lone surrogate
    calls, results = formats.tool_calls(name, value), formats.tool_results(name, value)
    for id, tool, pointer in [
        *((call.id, call.name, call.pointer) for call in calls),
        *((result.call_id, result.name, result.pointer) for result in results),
    ]:
        assert isinstance(at(value, pointer), dict)
        for word in (id, tool):
            assert word is None or (word and word.encode())
    assert value == before
    check_history(name, value, calls, results)


def check_history(name, value, calls, results):
    """Each call and each result is either in order or found, once."""
    history = [Entry("assistant", name, value), Entry("user", content=value), Entry("tool")]
    for finding in unanswered(history):
        at({"native": history[finding.index].native, "content": value}, finding.pointer)
    alone = unanswered(history[:1])
    left = [finding.pointer for finding in alone if finding.problem == "call_without_result"]
    extra = [finding.pointer for finding in alone if finding.problem == "result_without_call"]
    assert len(calls) - len(left) == len(results) - len(extra)
    assert set(left) <= {f"/native{call.pointer}" for call in calls}
    assert set(extra) <= {f"/native{result.pointer}" for result in results}


def at(value, pointer):
    for token in pointer.split("/")[1:]:
        value = value[int(token)] if isinstance(value, list) else value[token]
    return value


@given(NAMES, JSON)
def test_any_json_value_is_borne(name, value):
    check(name, value)


@given(st.sampled_from(CASES), st.data())
def test_real_messages_with_something_wrong_are_borne(case, data):
    native = copy.deepcopy(case.native)
    for _ in range(data.draw(st.integers(1, 3))):
        damage(native, data)
    check(case.format, native)
    check(data.draw(NAMES), native)


def damage(value, data):
    """Somewhere in it, a member is taken out, doubled or replaced by any other value."""
    inside = value
    while inside and isinstance(inside, dict | list):
        place = data.draw(
            st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside)))
        )
        deeper = inside[place]
        if not deeper or not isinstance(deeper, dict | list) or data.draw(st.booleans()):
            how = data.draw(st.sampled_from(["replace", "remove", "repeat"]))
            if how == "remove":
                del inside[place]
            elif how == "repeat" and isinstance(inside, list):
                inside.append(copy.deepcopy(deeper))
            else:
                inside[place] = data.draw(JSON)
            return
        inside = deeper


@given(st.lists(st.tuples(NAMES, st.sampled_from(CASES), TEXT), max_size=8))
def test_any_sequence_of_messages_is_borne(sequence):
    history = [Entry(role, name, case.native, case.native) for name, case, role in sequence]
    findings = unanswered(history)
    assert [finding.index for finding in findings] == sorted(f.index for f in findings)


MEMBERS = ("content", "parts", "message", "output", "steps", "choices", "data", "blocks")


@pytest.mark.parametrize("member", MEMBERS)
def test_a_deep_message_is_borne(member):
    """Deeper than Python recurses, in a member that formats look into."""
    for wrapped in (lambda inner: [inner], lambda inner: {member: inner}):
        value = "text"
        for _ in range(5_000):
            value = wrapped(value)
        for name in formats.FORMATS:
            for native in (value, {"role": "user", member: value}, [value]):
                formats.role(name, native)
                formats.text(name, native)
                assert unanswered([Entry("user", name, native, native)]) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.format}: {case.name}")
def test_nulls_beside_the_members_change_nothing(case):
    """As `model_dump` writes all the members that a provider left out."""
    names = {word for word in WORDS if word.isidentifier()}

    def with_nulls(value):
        if isinstance(value, list):
            return [with_nulls(item) for item in value]
        if isinstance(value, dict):
            return dict.fromkeys(names) | {key: with_nulls(item) for key, item in value.items()}
        return value

    native = with_nulls(case.native)
    assert formats.role(case.format, native) == case.role
    assert formats.text(case.format, native) == case.text
    for read in (formats.tool_calls, formats.tool_results):
        assert read(case.format, native) == read(case.format, case.native)
