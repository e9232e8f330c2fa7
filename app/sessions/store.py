"""Sessions in the table: one method an access pattern (numbered as in `app.keys`).

Works without Flask. Every method takes the caller first: it reaches no partition but theirs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from app import db, idempotency, ids, keys
from app.caller import Caller
from app.errors import InvalidCursor, OutcomeUnknown, PreconditionFailed, SessionNotFound
from app.pagination import make_cursor, read_cursor
from app.sessions import model, removal
from app.sessions.model import IfMatch, ListedSession, Session

_DAY = 24 * 60 * 60 * 1000
_POSITION = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z#[0-9A-Z]{26}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SessionList:
    """`page` is None where the list was reached by a cursor. `total` counts all of the caller's."""

    sessions: list[ListedSession]
    page: int | None
    limit: int
    total: int
    next_cursor: str | None


class SessionStore:
    def __init__(self, table: db.Table, ulids: ids.UlidSource | None = None) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()

    def create(
        self,
        caller: Caller,
        *,
        domain_id: str,
        title: str,
        metadata: dict[str, str],
        expires_in_days: int | None = None,
        request: idempotency.Request | None = None,
    ) -> tuple[Session, bool]:
        """Pattern 1: one transaction. Also says whether it replays an earlier, same request.

        Raises:
            IdempotencyKeyReused: the key came with another request before.
        """

        def session_as(ulid: str) -> Session:
            created_at = ids.timestamp(ulid)
            return Session(
                ulid=ulid,
                domain_id=domain_id,
                title=title,
                metadata=metadata,
                message_count=0,
                version=1,
                updated_at=created_at,
                last_activity=created_at,
                expires_at=_expiry(ids.milliseconds(ulid), expires_in_days),
                last_ulid=ulid,
            )

        [ulid] = self.ulids.take()
        session = session_as(ulid)
        attributes = model.to_attributes(session) | keys.by_activity(
            caller.partition, ulid, session.last_activity
        )
        if session.expires_at:
            attributes |= keys.due(ulid, session.expires_at)
        writes = [removal.count_sessions(caller.partition, +1)]
        if request:
            record_key = keys.create_record(caller.partition, request.name)
            attributes["create_record"] = record_key["SK"]
            writes.append(idempotency.record(record_key, request, ulid, self.ulids.clock))
        key = keys.session(caller.partition, ulid)
        try:
            self.table.transact(db.put_if(key, attributes, "attribute_not_exists(PK)"), *writes)
        except db.ConditionFailed as failed:
            if not request or not failed.found[-1]:
                raise
            return session_as(idempotency.first_id_of(failed.found[-1], request)), True
        return session, False

    def list_page(self, caller: Caller, page: int, limit: int) -> SessionList:
        """Pattern 2, by number: latest activity first. Reads page × limit entries of the index, so
        a far page costs more than a cursor; one past the end costs one get."""
        total = self._count(caller)
        skip = (page - 1) * limit
        if skip >= total:
            return SessionList([], page, limit, total, None)
        return self._list(caller, page, limit, total, skip=skip)

    def list_after(self, caller: Caller, cursor: str, limit: int) -> SessionList:
        """Pattern 2, from where an earlier page ended: costs the same however far that is.

        Raises:
            InvalidCursor
        """
        position = read_cursor(_list_scope(caller), cursor)
        if not _POSITION.fullmatch(position):
            raise InvalidCursor
        return self._list(caller, None, limit, self._count(caller), before=position)

    def _list(
        self,
        caller: Caller,
        page: int | None,
        limit: int,
        total: int,
        *,
        skip: int = 0,
        before: str | None = None,
    ) -> SessionList:
        end = skip + limit
        pages = self.table.query_index(
            keys.BY_ACTIVITY,
            caller.partition,
            before=before,
            backwards=True,
            limit=end + 1,
            unless=(model.EXPIRED, {":now": self._now()}),
        )
        items = list(islice(chain.from_iterable(pages), skip, end + 1))
        shown, more = items[:limit], len(items) > limit
        return SessionList(
            [model.from_index(item) for item in shown],
            page,
            limit,
            total,
            make_cursor(_list_scope(caller), str(shown[-1]["GSI1SK"])) if more else None,
        )

    def _count(self, caller: Caller) -> int:
        user = self.table.get(keys.user(caller.partition))
        return int(user["session_count"]) if user else 0

    def get(self, caller: Caller, session_id: str) -> Session:
        """Pattern 8: the session without its messages, strongly consistent.

        Raises:
            SessionNotFound
        """
        item = self.table.get(keys.session(caller.partition, model.ulid_of(session_id)))
        if not model.is_live(item, self._now()):
            raise SessionNotFound
        return model.from_item(item)

    def update(
        self,
        caller: Caller,
        session_id: str,
        changes: Mapping[str, Any],
        if_match: IfMatch | None = None,
    ) -> Session:
        """Pattern 4: one conditional update of `title`, `metadata` or `expires_in_days`, as far as
        they are in `changes`; `expires_in_days` of None keeps the session for ever.

        Raises:
            SessionNotFound, PreconditionFailed
        """
        ulid = model.ulid_of(session_id)
        now = self._now()
        sets = {"updated_at": now}
        removes: list[str] = []
        if "title" in changes:
            sets["title"] = changes["title"]
        if "metadata" in changes:
            sets["metadata"] = model.dump_metadata(changes["metadata"])
        if "expires_in_days" in changes:
            until = _expiry(self.ulids.clock(), changes["expires_in_days"])
            if until:
                sets |= {"retain_until": until, **keys.due(ulid, until)}
            else:
                removes = ["retain_until", "GSI2PK", "GSI2SK"]
        expression = "SET " + ", ".join(f"{name} = :{name}" for name in sets)
        if removes:
            expression += " REMOVE " + ", ".join(removes)
        condition, versions = model.match_version(if_match)
        values = {f":{name}": value for name, value in sets.items()}
        write = db.update(
            keys.session(caller.partition, ulid),
            f"{expression} ADD version :one",
            {**values, ":one": 1, ":now": now, **versions},
            f"{model.LIVE}{condition}",
        )
        try:
            return model.from_item(self.table.update(write))
        except db.ConditionFailed as failed:
            found = failed.found[0]
            if not found or not model.is_live(found, now):
                raise SessionNotFound from None
            # The answer to an earlier try of ours was lost: perhaps that moved the version on.
            if failed.repeated and sets.items() <= found.items():
                return model.from_item(found)
            raise (OutcomeUnknown if failed.repeated else PreconditionFailed) from None

    def delete(
        self, caller: Caller, session_id: str, if_match: IfMatch | None = None
    ) -> removal.Receipt:
        """Pattern 6: out of every answer at once; removed as far as time allows, which is all of it
        but for very large sessions. Called again, it goes on.

        Raises:
            SessionNotFound, PreconditionFailed
        """
        ulid = model.ulid_of(session_id)
        now = self._now()
        condition, versions = model.match_version(if_match)
        try:
            removal.mark(
                self.table, caller.partition, ulid, now, f"{model.LIVE}{condition}", versions
            )
        except db.ConditionFailed as failed:
            found = failed.found[0] or {}
            if "deleted_at" not in found:
                raise (
                    PreconditionFailed if model.is_live(found, now) else SessionNotFound
                ) from None
        return removal.remove(self.table, caller.partition, ulid)

    def delete_all(self, caller: Caller) -> removal.Receipt:
        """Pattern 10: everything of the caller, the same way."""
        return removal.erase(self.table, caller.partition, self._now())

    def _now(self) -> str:
        return ids.iso_time(self.ulids.clock())


def _list_scope(caller: Caller) -> str:
    return f"{caller.partition} sessions"


def _expiry(start: int, days: int | None) -> str | None:
    return ids.iso_time(start + days * _DAY) if days else None
