"""JSON values with the text they were sent as.

A stored value is the client's own text, so that every number, escape and order of members comes
back as it was sent. No number is converted: `1E5`, `-0` and 5,000 digits stay as they are.

This module is over 250 lines because all that knows the text of JSON values is here.
"""

import json
import re
from collections.abc import Mapping, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple, NoReturn

from app.formats.reading import steps
from app.json_rules import MAX_DIGITS, SURROGATE

_SPACE = re.compile(r"[ \t\n\r]*+")


class Literal(NamedTuple):
    """`value` is what the text says, with floats for decimals."""

    text: str
    value: Any


class Sent(dict[str, Any]):
    """An object as it was sent: its values, and their texts."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}


class Inside(NamedTuple):
    """What `read_object` knows of a member that is an object or an array of objects: the most
    elements of the array, and such members of the objects. With None, an array is no such array."""

    most: int | None
    members: "Mapping[str, Inside]"


class NotJson(ValueError):
    """NaN or Infinity, which Python's parser accepts."""


class RepeatedName(ValueError):
    """Two members of an object have the same name. Parsers differ in which one they take."""


class TooManyElements(ValueError):
    def __init__(self, name: str, most: int) -> None:
        super().__init__(f"{name} has more than {most} elements")
        self.name = name
        self.most = most


def read_object(text: str, inside: Mapping[str, Inside] | None = None) -> Sent:
    """Reads the text of an object.

    `inside` names members that are objects, or arrays of objects, which are read in the same way.

    >>> read_object('{"a": [1.50]}').texts
    {'a': '[1.50]'}

    Raises:
        json.JSONDecodeError, NotJson, RepeatedName
        TooManyElements: the text is not read any further, so that the work is bounded.
    """
    sent, end = _object(text, _skip(text, 0), {} if inside is None else inside)
    if _skip(text, end) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return sent


def read_value(text: str) -> Any:
    """
    Raises:
        json.JSONDecodeError, NotJson, RepeatedName
    """
    value, end = _value(text, _skip(text, 0))
    if _skip(text, end) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def text_fault(text: str, members: Sequence[str] = ()) -> str | None:
    """Why stored text is not a JSON object with these members, or not one that every parser reads
    the same way; None if it is.

    >>> text_fault('{"a":NaN}'), text_fault('{"a":1,"a":2}'), text_fault("[]"), text_fault("{}")
    ('NaN is not JSON', 'a name appears twice', 'not an object', None)
    """
    if not text.startswith("{"):
        return "not an object"
    found, fault = _read(text)
    if fault:
        return fault
    missing = [name for name in members if name not in found]
    return f"without {', '.join(missing)}" if missing else None


def json_fault(text: str) -> str | None:
    """The same for a text that may be any JSON value.

    >>> json_fault("[NaN]"), json_fault('{"a":1,"a":2}'), json_fault("1 2"), json_fault("1e999")
    ('NaN is not JSON', 'a name appears twice', 'not JSON', None)
    """
    return _read(text)[1]


def _read(text: str) -> tuple[Any, str | None]:
    """The value of a text, or what is wrong with it."""
    try:
        return read_value(text), None
    except json.JSONDecodeError:
        return None, "not JSON"
    except RepeatedName:
        return None, "a name appears twice"
    except RecursionError:
        return None, "nested too deeply"
    except NotJson as error:
        return None, str(error)


def _object(text: str, position: int, inside: Mapping[str, Inside]) -> tuple[Sent, int]:
    position = _expect(text, position, "{")
    sent = Sent()
    position = _skip(text, position)
    if text[position : position + 1] == "}":
        return sent, position + 1
    while True:
        name, position = scanstring(text, _expect(text, position, '"'), True)
        start = _skip(text, _expect(text, _skip(text, position), ":"))
        if name in sent:
            raise RepeatedName(name)
        opening = text[start : start + 1]
        if name in inside and opening == "[" and inside[name].most is not None:
            sent[name], position = _array(text, start, name, inside[name])
        elif name in inside and opening == "{":
            sent[name], position = _object(text, start, inside[name].members)
        else:
            sent[name], position = _value(text, start)
        sent.texts[name] = text[start:position]
        position = _skip(text, position)
        if text[position : position + 1] == "}":
            return sent, position + 1
        position = _skip(text, _expect(text, position, ","))


def _array(text: str, position: int, name: str, inside: Inside) -> tuple[list[Any], int]:
    items: list[Any] = []
    position = _skip(text, position + 1)
    if text[position : position + 1] == "]":
        return items, position + 1
    while True:
        if text[position : position + 1] == "{":
            item, position = _object(text, position, inside.members)
        else:
            item, position = _value(text, position)
        items.append(item)
        if inside.most is not None and len(items) > inside.most:
            raise TooManyElements(name, inside.most)
        position = _skip(text, position)
        if text[position : position + 1] == "]":
            return items, position + 1
        position = _skip(text, _expect(text, position, ","))


def _value(text: str, position: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except (json.JSONDecodeError, NotJson, RepeatedName):
        raise
    except ValueError:  # int() refuses more than MAX_DIGITS
        return _WITHOUT_LONG_NUMBERS.raw_decode(text, position)


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _expect(text: str, position: int, character: str) -> int:
    if text[position : position + 1] != character:
        raise json.JSONDecodeError(f"Expecting '{character}'", text, position)
    return position + 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise RepeatedName(name)
            seen.add(name)
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
_WITHOUT_LONG_NUMBERS = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=float
)
"""Calls Python for every number, so it takes twice the time."""


def canonical(text: str) -> Any:
    """A value that is equal for two texts if they differ only in white space, the order of members
    and the escapes of strings. 1, 1.0 and 1e0 are different, and so are 0 and -0.

    >>> canonical('{"a":1,"b":2}') == canonical('{"b": 2, "a": 1}')
    True
    >>> canonical("1") == canonical("1.0")
    False
    """
    return _CANONICAL.decode(text)


_CANONICAL = json.JSONDecoder(
    parse_float=lambda number: ["number", number],
    parse_int=lambda number: (
        int(number) if len(number) < MAX_DIGITS and number != "-0" else ["number", number]
    ),
)


def replaced(text: str, instead: Mapping[str, str]) -> str:
    """JSON text with other texts in place of the strings, arrays and objects at these JSON
    Pointers. All else is as it was.

    >>> replaced('{"a": [1.50, "b"]}', {"/a/1": '""'})
    '{"a": [1.50, ""]}'
    """
    pieces: list[str] = []
    end = 0
    inside: list[_Container] = []
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        around = inside[-1] if inside else None
        if first == "," and around:
            around.step = around.step + 1 if isinstance(around.step, int) else None
        elif first == '"' and around and around.step is None:
            around.step = scanstring(text, token.start() + 1, False)[0]
        elif first in "[{":
            found = around.inside() if around else _tree(instead)
            inside.append(_Container(found, 0 if first == "[" else None, token.start()))
        elif first in '"]}':
            if first == '"':
                start, new = token.start(), around.inside() if around else None
            else:
                closed = inside.pop()
                start, new = closed.start, closed.places
            if isinstance(new, str):
                pieces += (text[end:start], new)
                end = token.end()
    return "".join((*pieces, text[end:]))


class _Container:
    """An array or object that is being read. `step` is the index of the element, or the name of the
    member, None before it."""

    __slots__ = ("places", "start", "step")

    def __init__(self, places: Any, step: int | str | None, start: int) -> None:
        self.places, self.step, self.start = places, step, start

    def inside(self) -> Any:
        return self.places.get(str(self.step)) if isinstance(self.places, dict) else None


def _tree(instead: Mapping[str, str]) -> dict[str, Any]:
    """By the tokens of the pointers."""
    tree: dict[str, Any] = {}
    for pointer, text in instead.items():
        *before, last = steps(pointer)
        inside = tree
        for step in before:
            inside = inside.setdefault(step, {})
        inside[last] = text
    return tree


# Possessive, because backtracking would take many times the memory of the text.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},]', re.DOTALL)


class Number:
    """A number as it was written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def exact(text: str) -> Any:
    """The value of a text, with a `Number` for each number. `exact_text` writes it again."""
    return _EXACT.decode(text)


_EXACT = json.JSONDecoder(parse_float=Number, parse_int=Number)


def exact_text(value: Any) -> str:
    """
    >>> exact_text(exact('{"a": [1E5, "b"]}'))
    '{"a":[1E5,"b"]}'
    """
    if isinstance(value, Number):
        return value.text
    if isinstance(value, list):
        return f"[{','.join(map(exact_text, value))}]"
    if isinstance(value, dict):
        members = (f"{text_of(name)}:{exact_text(each)}" for name, each in value.items())
        return f"{{{','.join(members)}}}"
    return text_of(value)


def text_of(value: Any) -> str:
    """The JSON text of a `Literal`, or of a program's own value."""
    if isinstance(value, Literal):
        return value.text
    text = _ENCODER.encode(value)
    if not text.isascii() and SURROGATE.search(text):
        text = SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    return text


def value_of(value: Any) -> Any:
    return value.value if isinstance(value, Literal) else value


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
