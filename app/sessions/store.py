"""The store of sessions, with one method per access pattern, numbered as in `app.table.keys`.

Works without Flask. The first argument of each method is the caller, and a method accesses only the
caller's partition.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from app.errors import (
    Contended,
    GoneSince,
    OutcomeUnknown,
    PreconditionFailed,
    SessionNotFound,
    SettingsChanged,
)
from app.identity.caller import Caller
from app.literals import Literal, merge_patch, read_value, text_of
from app.sessions import erasure, model, removal, rules
from app.sessions.model import Session
from app.sessions.reading import whole_session
from app.sessions.write_ids import WriteIds
from app.table import budget, idempotency, ids, keys, writes
from app.table.database_time import checked_time
from app.table.db import ConditionFailed, Table
from app.table.idempotency import IdempotencyKey
from app.table.retries import READS_OF_A_TRANSACTION
from app.table.versions import IfMatch, match_version
from app.table.writes import Write

_DAY = 24 * 60 * 60 * 1000

TRIES = 5
"""How often a merge begins again because another writer was first."""


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
        metadata: Mapping[str, Any],
        expires_in_days: int | None = None,
        archived: bool = False,
        pinned: bool = False,
        idempotency_key: IdempotencyKey | None = None,
    ) -> tuple[Session, bool]:
        """Pattern 1: creates a session, in one transaction. The second value of the result is true
        if this repeats an earlier request. The session is then read in its current state.

        Each new session of a user has a greater id than the ones before, so that an erasure can
        tell which sessions it covers (`app.sessions.erasure`). If another writer was first, the
        failed condition returns the last id, and the session gets the next one.

        Raises:
            ValidationFailed: lists the invalid fields.
            IdempotencyKeyReused: the key was used for a different request.
            GoneSince: the earlier request's session has been deleted or has expired.
        """
        rules.check(
            {
                "domain_id": domain_id,
                "title": title,
                "metadata": metadata,
                "expires_in_days": expires_in_days,
                "archived": archived,
                "pinned": pinned,
            }
        )
        text = text_of(metadata)
        last_ulid = ""
        # A program that has begun no budget gets a new one for each call. This one bounds the loop.
        request_budget = budget.current()
        while True:
            request_budget.check()
            now = self._writing_time(caller)
            [ulid] = self.ulids.new(after=last_ulid, now=now)
            session = Session(
                ulid=ulid,
                born=ulid,
                domain_id=domain_id,
                title=rules.one_line(title),
                metadata=text,
                info=ulid if model.is_long(text) else None,
                archived=archived,
                pinned=pinned,
                message_count=0,
                version=1,
                settings_version=1,
                last_activity=ids.timestamp(ulid),
                expires_at=_expiry(ids.milliseconds(ulid), expires_in_days),
                last_ulid=ulid,
                changed=ulid,
            )
            try:
                self.table.transact(self._creation(caller, session, idempotency_key))
                return session, False
            except ConditionFailed as failed:
                record, user = failed.found.get("record"), failed.found.get("user")
                if idempotency_key and record:
                    first_ulid = idempotency.first_id_of(record, idempotency_key)
                    return self._created(caller, first_ulid), True
                if not user:
                    raise  # a session has this id already, which the user's condition rules out
                last_ulid = str(user["last_ulid"])

    def _creation(
        self, caller: Caller, session: Session, idempotency_key: IdempotencyKey | None
    ) -> dict[str, Write]:
        attributes = model.all_attributes(session) | keys.by_activity(
            caller.partition, session.ulid, session.last_activity
        )
        if session.expires_at:
            attributes |= keys.by_due_time(session.ulid, session.expires_at)
        parts = {"user": erasure.count_new_session(caller.partition, session.ulid)}
        if idempotency_key:
            record_key = keys.create_record(caller.partition, idempotency_key.name)
            parts["record"] = idempotency.put_record(
                record_key, idempotency_key, session.ulid, self.ulids.clock
            )
        key = keys.session(caller.partition, session.ulid)
        parts["session"] = writes.put(key, attributes, "attribute_not_exists(PK)")
        if session.info:
            parts["info"] = _put_info(caller, session.ulid, session.info, session.metadata)
        return parts

    def _created(self, caller: Caller, ulid: str) -> Session:
        """The session that an earlier request created. The request's record may become visible just
        before the session does, so a missing session is read again."""
        key = keys.session(caller.partition, ulid)
        looks = (self.table.get(key) for _ in range(READS_OF_A_TRANSACTION))
        item = next((item for item in looks if item), None)
        if not model.is_live(item, self._now()):
            raise GoneSince(ids.SESSION_PREFIX + ulid)
        return whole_session(self.table, item, self._now())

    def get(self, caller: Caller, session_id: str) -> Session:
        """Pattern 8: the session without its messages, by 1 strongly consistent get; by 2 if its
        metadata is long.

        Raises:
            SessionNotFound, SessionDamaged
        """
        item = self.table.get(keys.session(caller.partition, model.ulid_of(session_id)))
        if not model.is_live(item, self._now()):
            raise SessionNotFound
        return whole_session(self.table, item, self._now())

    def update(
        self,
        caller: Caller,
        session_id: str,
        changes: Mapping[str, Any],
        if_match: IfMatch | None = None,
        if_settings_version: int | None = None,
    ) -> Session:
        """Pattern 4: changes the members of `changes`, which are `title`, `metadata`, `archived`,
        `pinned` and `expires_in_days`. If `expires_in_days` is None, the session never expires.

        Costs 1 conditional update. Long metadata is another item, so that changing it is a
        transaction, and showing it another get.

        Raises:
            ValidationFailed, SessionNotFound, PreconditionFailed, SettingsChanged
        """
        rules.check_changes(changes)
        ulid = model.ulid_of(session_id)
        write_ids = WriteIds(self.table, self.ulids, caller)
        old_info: str | None = None
        while True:
            [change] = write_ids.take()
            write, info = self._change(
                caller,
                ulid,
                changes,
                change,
                write_ids.now,
                if_match,
                if_settings_version,
                old_info,
            )
            try:
                if not info:
                    return whole_session(self.table, self.table.execute(write), self._now())
                self.table.transact({"session": write, "info": info})
                return self.get(caller, session_id)
            except ConditionFailed as failed:
                [found] = failed.found.values()
                if not model.is_live(found, write_ids.now):
                    raise SessionNotFound from None
                # The response to an earlier try was lost, and that try was carried out.
                if failed.repeated and found.get("last_ulid") == change:
                    return whole_session(self.table, found, self._now())
                if if_match is not None and found.get("last_ulid") not in if_match:
                    raise (OutcomeUnknown if failed.repeated else PreconditionFailed) from None
                settings = found.get("settings_version")
                if if_settings_version not in (None, settings) and isinstance(settings, int):
                    raise (
                        OutcomeUnknown() if failed.repeated else SettingsChanged(settings)
                    ) from None
                if old_info != found.get("info") and "metadata" in changes:
                    old_info = str(found["info"]) if "info" in found else None
                    continue
                write_ids.follow(found, change)

    def _change(
        self,
        caller: Caller,
        ulid: str,
        changes: Mapping[str, Any],
        change: str,
        now: str,
        if_match: IfMatch | None,
        if_settings_version: int | None,
        old_info: str | None,
    ) -> tuple[Write, Write | None]:
        """The write of the session's item, and that of its long metadata, if it has or had any.
        `old_info` is what its item must say of the old one."""
        plain = {name: changes[name] for name in ("archived", "pinned") if name in changes}
        sets = {"last_ulid": change, **model.to_attributes(plain)}
        condition, values = match_version(if_match)
        condition = f"{model.LIVE} AND last_ulid < :last_ulid{condition}"
        info: Write | None = None
        if "title" in changes:
            sets["title"] = rules.one_line(changes["title"])
        if "metadata" in changes:
            text = text_of(changes["metadata"])
            long = model.is_long(text)
            sets |= model.to_attributes({"metadata": None if long else text})
            sets["info"] = change if long else None
            if long:
                info = _put_info(caller, ulid, change, text)
            elif old_info:
                info = writes.delete(keys.info(caller.partition, ulid))
                condition += " AND info = :old_info"
                values = {**values, ":old_info": old_info}
            else:
                condition += " AND attribute_not_exists(info)"
        if "expires_in_days" in changes:
            until = _expiry(ids.milliseconds(change), changes["expires_in_days"])
            due: dict[str, Any] = keys.by_due_time(ulid, until) if until else {}
            sets |= {"expires_at": until, "GSI2PK": None, "GSI2SK": None, **due}
        if if_settings_version is not None:
            condition += " AND settings_version = :seen_settings"
            values = {**values, ":seen_settings": if_settings_version}
        key = keys.session(caller.partition, ulid)
        counted = {"version": 1, "settings_version": 1}
        return writes.change(key, sets, {":now": now, **values}, condition, counted), info

    def patch(
        self,
        caller: Caller,
        session_id: str,
        changes: Mapping[str, Any],
        if_match: IfMatch | None = None,
        if_settings_version: int | None = None,
    ) -> Session:
        """Like `update`, but merges `metadata` into the present one (RFC 7396). Costs 1 get more if
        there is any.

        Raises:
            ValidationFailed, SessionNotFound, PreconditionFailed, SettingsChanged
            Contended: others changed the settings at the same time, five times in a row.
        """
        if "metadata" not in changes:
            return self.update(caller, session_id, changes, if_match, if_settings_version)
        if changes["metadata"] is None:
            changes = {**changes, "metadata": {}}
            return self.update(caller, session_id, changes, if_match, if_settings_version)
        rules.check_changes(changes)
        for _ in range(TRIES):
            session = self.get(caller, session_id)
            if if_settings_version not in (None, session.settings_version):
                raise SettingsChanged(session.settings_version)
            merged = merge_patch(str(session.metadata), text_of(changes["metadata"]))
            changed = {**changes, "metadata": Literal(merged, read_value(merged))}
            with suppress(SettingsChanged):
                return self.update(caller, session_id, changed, if_match, session.settings_version)
        raise Contended

    def delete(
        self, caller: Caller, session_id: str, if_match: IfMatch | None = None
    ) -> removal.Receipt:
        """Pattern 6: marks the session, so that no response shows it, and removes its items as far
        as time allows. Only very large sessions take more than one call; the next call continues.

        Raises:
            SessionNotFound, PreconditionFailed
        """
        ulid = model.ulid_of(session_id)
        now = ids.iso_time(self._writing_time(caller))
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
        """Pattern 10: marks and removes all sessions of the caller, in the same way."""
        return erasure.erase(self.table, caller.partition, self._writing_time(caller))

    def _now(self) -> str:
        return ids.iso_time(self.ulids.clock())

    def _writing_time(self, caller: Caller) -> int:
        return checked_time(self.table, self.ulids.clock, caller.partition)


def _expiry(start: int, days: int | None) -> str | None:
    return ids.iso_time(start + days * _DAY) if days else None


def _put_info(caller: Caller, ulid: str, info: str, metadata: str | None) -> Write:
    return writes.put(keys.info(caller.partition, ulid), {"info": info, "metadata": metadata})
