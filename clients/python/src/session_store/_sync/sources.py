"""Sources, as methods: the answers that cite them, and what became of them.

A source is named by its `hash`, which stands beside its `key` in the grounding of a message.
`source_hash_of` works it out from the key.
"""

from collections.abc import Iterator
from typing import Unpack

from session_store._bodies import segment
from session_store._retries import new_key
from session_store._sync.connection import Connection
from session_store.grounding import (
    NewVerdict,
    Redaction,
    SourceAnswer,
    SourceAnswerPage,
    TenantSourceAnswer,
    TenantSourceAnswerPage,
    Verdict,
)
from session_store.ids import source_hash_of


class Sources:
    """For the user's own answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def answers(self, hash: str, *, limit: int | None = None) -> Iterator[SourceAnswer]:
        """The user's answers that cite the source, latest first. `limit` is the size of a page."""
        cursor = None
        while True:
            page = self.answers_page(hash, limit=limit, cursor=cursor)
            for answer in page.answers:
                yield answer
            cursor = page.next_cursor
            if cursor is None:
                return

    def answers_page(
        self, hash: str, *, limit: int | None = None, cursor: str | None = None
    ) -> SourceAnswerPage:
        """One page. It may be short or empty while its cursor leads to more."""
        query = {"limit": limit, "cursor": cursor}
        path = f"sources/{segment(hash)}/answers"
        body = (self._connection.request("GET", path, query=query)).json()
        return SourceAnswerPage(
            answers=tuple(SourceAnswer.of(each) for each in body["answers"]),
            next_cursor=body["next_cursor"],
        )


class TenantSources:
    """For the answers of all users of the tenant."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def answers(self, hash: str, *, limit: int | None = None) -> Iterator[TenantSourceAnswer]:
        """The tenant's answers that cite the source, those of each user latest first. Needs the
        scope `sources:audit`. `limit` is the size of a page."""
        cursor = None
        while True:
            page = self.answers_page(hash, limit=limit, cursor=cursor)
            for answer in page.answers:
                yield answer
            cursor = page.next_cursor
            if cursor is None:
                return

    def answers_page(
        self, hash: str, *, limit: int | None = None, cursor: str | None = None
    ) -> TenantSourceAnswerPage:
        """One page. It may be short or empty while its cursor leads to more."""
        query = {"limit": limit, "cursor": cursor}
        path = f"{_path(hash)}/answers"
        body = (self._connection.request("GET", path, query=query)).json()
        return TenantSourceAnswerPage(
            answers=tuple(TenantSourceAnswer.of(each) for each in body["answers"]),
            next_cursor=body["next_cursor"],
        )

    def get(self, hash: str) -> Verdict:
        """What became of the source. Needs the scope `sources:govern`, or `sources:audit`, with
        which there is no `reason`.

        Raises:
            NotFound: nobody has said anything of it.
        """
        answer = self._connection.request("GET", _path(hash))
        return Verdict.of(answer.json(), etag=answer.headers["ETag"])

    def put(
        self, *, if_match: str | None = None, only_new: bool = False, **verdict: Unpack[NewVerdict]
    ) -> Verdict:
        """Says what became of the source with this `key`, in place of what was said before. With
        `only_new` only if nothing was (else 412 `VERDICT_CHANGED`). Needs the scope
        `sources:govern`."""
        answer = self._connection.request(
            "PUT",
            _path(source_hash_of(verdict["key"])),
            json=verdict,
            headers={"If-Match": if_match, "If-None-Match": "*" if only_new else None},
        )
        return Verdict.of(answer.json(), etag=answer.headers["ETag"])

    def redact(self, hash: str, *, idempotency_key: str | None = None) -> Redaction:
        """Removes what the source says from all messages of the tenant that cite it or were given
        it. This cannot be undone. Needs the scope `sources:govern`."""
        bodies = self._connection.repeat(
            "POST", f"{_path(hash)}/redaction", key=idempotency_key or new_key()
        )
        return Redaction.of(bodies[-1])


def _path(hash: str) -> str:
    return f"tenant/sources/{segment(hash)}"
