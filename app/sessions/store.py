"""Sessions in the table: one method per access pattern, numbered as in `app.table.keys`.

Works without Flask. Every method takes the caller first and reaches no partition but theirs.
"""

from collections.abc import Mapping
from typing import Any

from app.errors import OutcomeUnknown, PreconditionFailed, SessionNotFound, ValidationFailed
from app.identity.caller import Caller
from app.sessions import erasure, model, removal, rules
from app.sessions.model import Session
from app.table import idempotency, ids, keys, writes
from app.table.db import ConditionFailed, Table
from app.table.idempotency import IdempotencyKey
from app.table.versions import IfMatch, match_version

_DAY = 24 * 60 * 60 * 1000


class SessionStore:
    def __init__(self, table: Table, ulids: ids.UlidSource | None = None) -> None:
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
        idempotency_key: IdempotencyKey | None = None,
    ) -> tuple[Session, bool]:
        """Pattern 1: one transaction. The second value says whether this replays an earlier, same
        request.

        Raises:
            ValidationFailed
            IdempotencyKeyReused: the key came with a different request before.
        """
        rules.check(
            {
                "domain_id": domain_id,
                "title": title,
                "metadata": metadata,
                "expires_in_days": expires_in_days,
            }
        )

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

        [ulid] = self.ulids.new()
        session = session_as(ulid)
        attributes = model.all_attributes(session) | keys.by_activity(
            caller.partition, ulid, session.last_activity
        )
        if session.expires_at:
            attributes |= keys.by_due_time(ulid, session.expires_at)
        parts = {"user": removal.count_sessions(caller.partition, +1)}
        if idempotency_key:
            record_key = keys.create_record(caller.partition, idempotency_key.name)
            attributes["create_record"] = record_key["SK"]
            parts["record"] = idempotency.put_record(
                record_key, idempotency_key, ulid, self.ulids.clock
            )
        key = keys.session(caller.partition, ulid)
        parts["session"] = writes.put(key, attributes, "attribute_not_exists(PK)")
        try:
            self.table.transact(parts)
        except ConditionFailed as failed:
            record = failed.found.get("record")
            if not idempotency_key or not record:
                raise
            return session_as(idempotency.first_id_of(record, idempotency_key)), True
        return session, False

    def get(self, caller: Caller, session_id: str) -> Session:
        """Pattern 8: the session without its messages, strongly consistent.

        Raises:
            SessionNotFound, SessionDamaged
        """
        item = self.table.get(keys.session(caller.partition, model.ulid_of(session_id)))
        if not model.is_live(item, self._now()):
            raise SessionNotFound
        return model.from_item(Session, item)

    def update(
        self,
        caller: Caller,
        session_id: str,
        changes: Mapping[str, Any],
        if_match: IfMatch | None = None,
    ) -> Session:
        """Pattern 4: one conditional update of `title`, `metadata` or `expires_in_days`, those that
        are in `changes`. With `expires_in_days` of None the session never expires.

        Raises:
            ValidationFailed, SessionNotFound, PreconditionFailed
        """
        rules.check(changes)
        if not changes:
            raise ValidationFailed.of_json([("", "Nothing is to change.")])
        ulid = model.ulid_of(session_id)
        now = self._now()
        changed = {name: changes[name] for name in ("title", "metadata") if name in changes}
        sets: dict[str, Any] = {"updated_at": now, **model.to_attributes(changed)}
        removes: list[str] = []
        if "expires_in_days" in changes:
            until = _expiry(self.ulids.clock(), changes["expires_in_days"])
            if until:
                sets |= {"expires_at": until, **keys.by_due_time(ulid, until)}
            else:
                removes = ["expires_at", "GSI2PK", "GSI2SK"]
        expression = "SET " + ", ".join(f"{name} = :{name}" for name in sets)
        if removes:
            expression += " REMOVE " + ", ".join(removes)
        condition, versions = match_version(if_match)
        values = {f":{name}": value for name, value in sets.items()}
        write = writes.update(
            keys.session(caller.partition, ulid),
            f"{expression} ADD version :one",
            {**values, ":one": 1, ":now": now, **versions},
            f"{model.LIVE}{condition}",
        )
        try:
            return model.from_item(Session, self.table.execute(write))
        except ConditionFailed as failed:
            found = failed.item
            if not model.is_live(found, now):
                raise SessionNotFound from None
            # The answer to an earlier try was lost: perhaps that one raised the version.
            if failed.repeated and sets.items() <= found.items():
                return model.from_item(Session, found)
            raise (OutcomeUnknown if failed.repeated else PreconditionFailed) from None

    def delete(
        self, caller: Caller, session_id: str, if_match: IfMatch | None = None
    ) -> removal.Receipt:
        """Pattern 6: out of every answer at once, and removed as far as time allows, which is
        completely except for very large sessions. Called again, it continues.

        Raises:
            SessionNotFound, PreconditionFailed
        """
        ulid = model.ulid_of(session_id)
        now = self._now()
        condition, versions = match_version(if_match)
        try:
            removal.mark(
                self.table, caller.partition, ulid, now, f"{model.LIVE}{condition}", versions
            )
        except ConditionFailed as failed:
            found = failed.found["session"]
            if "deleted_at" not in found:
                raise (
                    PreconditionFailed if model.is_live(found, now) else SessionNotFound
                ) from None
        return removal.remove(self.table, caller.partition, ulid)

    def delete_all(self, caller: Caller) -> removal.Receipt:
        """Pattern 10: everything of the caller, the same way."""
        return erasure.erase(self.table, caller.partition, self._now())

    def _now(self) -> str:
        return ids.iso_time(self.ulids.clock())


def _expiry(start: int, days: int | None) -> str | None:
    return ids.iso_time(start + days * _DAY) if days else None
