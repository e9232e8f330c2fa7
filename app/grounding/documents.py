"""The sources of a message's request, by the numbers with which its citations name them."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import Any

from app.formats.reading import member, objects, string
from app.grounding import sources
from app.grounding.model import MAX_LISTED, Held, Source
from app.grounding.texts import whole_number

NO_REQUEST = "no_request"
NOT_IN_THE_REQUEST = "not_in_the_request"
NOT_AN_INDEX = "not_an_index"
NO_SOURCE = "no_source"
NOT_IN_THE_ANSWER = "not_in_the_answer"


class Documents:
    """`read` yields what the provider's own request offers, in the order in which it is counted."""

    def __init__(self, request: Any, read: Callable[[Any], Iterable[Source]]) -> None:
        self._request = request
        self._read = read

    @cached_property
    def _by_index(self) -> dict[int, Source]:
        short = {number: source for _, number, source in _short_form(self._request)}
        return short or dict(enumerate(islice(self._read(self._request), MAX_LISTED)))

    def find(self, index: Any, name: str) -> Source:
        """The source with a number, which the provider calls `name`."""
        number = whole_number(index)
        if number is None:
            return sources.unknown(name, NOT_AN_INDEX)
        raw = f"{name}={number}"
        if self._request is None:
            return sources.unknown(raw, NO_REQUEST)
        found = self._by_index.get(number)
        if found is None:
            return sources.unknown(raw, NOT_IN_THE_REQUEST)
        return found if found.raw else found._replace(raw=raw)

    def numbered(self) -> Iterator[tuple[int, Source]]:
        return iter(self._by_index.items())

    def offered(self) -> Iterator[Source]:
        return (source for source in self._by_index.values() if source.key)


def blocks_of(request: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The blocks of all messages in a request, each with its JSON Pointer."""
    for where, message in objects(member(request, "messages"), "/messages"):
        yield from objects(message.get("content"), f"{where}/content")


def held_in_short_form(request: Any) -> Iterator[Held]:
    for pointer, _, source in _short_form(request):
        yield Held(pointer, source, in_request=True)


def _short_form(request: Any) -> Iterator[tuple[str, int, Source]]:
    """`{"documents": [{"index", "key", "title", "text"}]}`."""
    listed = objects(member(request, "documents"), "/documents")
    for pointer, each in islice(listed, MAX_LISTED):
        number = whole_number(each.get("index"))
        text, title = each.get("text"), string(each.get("title"))
        kept = text if isinstance(text, str) else None
        if number is None:
            continue
        if key := string(each.get("key")):
            named = Source(sources.bounded(key), "document", key, title, text=kept)
            yield pointer, number, named
        elif kept is not None:
            yield pointer, number, sources.content(kept, title, held=each)
        elif title:
            key = sources.bounded(f"doc:{title}")
            yield pointer, number, Source(key, "document", title, title, identity="weak")
