"""The store of sessions, with one method per access pattern, numbered as in `app.table.keys`.

Works without Flask. The first argument of each method is the caller, and a method accesses only the
caller's partition. This module is over 250 lines because finding out why a write failed is most of
what each method does.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app.errors import (
    Contended,
    GoneSince,
    OutcomeUnknown,
    PreconditionFailed,
    SessionDamaged,
    SessionExists,
    SessionNotFound,
    SettingsChanged,
)
from app.identity.caller import Caller
from app.literals import Literal, read_value, text_of
from app.merge_patch import merge_patch
from app.sessions import erasure, model, removal, rules
from app.sessions.creation import NewSession, creation, make_room
from app.sessions.model import Session
from app.sessions.reading import whole_session
from app.sessions.settings_writes import Depends, change_writes
from app.sessions.write_ids import WriteIds
from app.table import idempotency, ids, keys
from app.table.database_time import checked_time
from app.table.db import ConditionFailed, Table
from app.table.idempotency import IdempotencyKey
from app.table.retries import READS_OF_A_TRANSACTION
from app.table.versions import IfMatch, match_version
from app.table.writes import Item

TRIES = 5
"""How often a merge begins again because another writer was first."""


@dataclass(frozen=True, slots=True)
class Created:
    """`existed` is true if the session was there before, `replayed` if an earlier request with the
    same Idempotency-Key made it."""

    session: Session
    existed: bool = False
    replayed: bool = False


class SessionStore:
    def __init__(self, table: Table, ulids: ids.UlidSource | None = None) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()

    def create(
        self,
        caller: Caller,
        new: NewSession,
        *,
        only_new: bool = False,
        idempotency_key: IdempotencyKey | None = None,
    ) -> Created:
        """Pattern 1: creates a session, in one transaction. If there is a live session with the
        key already, or if this repeats an earlier request, the session is returned as it is now.

        Each new session of a user is born with a greater id than the ones before, so that an
        erasure can tell which sessions it covers (`app.sessions.erasure`). If another writer was
        first, the failed condition returns the last id, and the session gets the next one.

        Raises:
            ValidationFailed: lists the invalid fields.
            SessionExists: there is a session with the key, and `only_new` is set.
            IdempotencyKeyReused: the key was used for a different request.
            GoneSince: the earlier request's session has been deleted or has expired.
            Unavailable: an older session with the key is still being removed.
        """
        new.check()
        write_ids = WriteIds(self.table, self.ulids, caller)
        while True:
            [born] = write_ids.take()
            session = new.made(born)
            parts = creation(caller.partition, session)
            if idempotency_key:
                record_key = keys.create_record(caller.partition, idempotency_key.name)
                parts["record"] = idempotency.put_record(
                    record_key,
                    idempotency_key,
                    session.ulid,
                    self.ulids.clock,
                    born=session.born if new.key else None,
                )
            try:
                self.table.transact(parts)
                return Created(session)
            except ConditionFailed as failed:
                record, user = failed.found.get("record"), failed.found.get("user")
                found = failed.found.get("session")
            if idempotency_key and record:
                made = self._created(caller, record, idempotency_key)
                return Created(made, existed=True, replayed=True)
            if found and new.key:
                now = write_ids.now
                if not model.is_live(found, now):
                    make_room(self.table, caller.partition, found, now)
                elif only_new:
                    raise SessionExists(session.session_id)
                else:
                    with suppress(SessionNotFound):  # deleted just now
                        return Created(whole_session(self.table, found, now), existed=True)
            elif not user:
                raise SessionDamaged  # an id of ours is taken, which the user's condition rules out
            if user:
                write_ids.follow(user, born)

    def _created(self, caller: Caller, record: Item, idempotency_key: IdempotencyKey) -> Session:
        """The session that an earlier request created. The request's record may become visible just
        before the session does, so a missing session is read again."""
        ulid = idempotency.first_id_of(record, idempotency_key)
        key = keys.session(caller.partition, ulid)
        looks = (self.table.get(key) for _ in range(READS_OF_A_TRANSACTION))
        item = next((item for item in looks if item), None)
        if model.is_live(item, self._now()):
            with suppress(SessionNotFound):  # deleted just now
                session = whole_session(self.table, item, self._now())
                if session.born == record.get("born", session.born):
                    return session
        raise GoneSince(ids.SESSION_PREFIX + ulid)

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
        *,
        born: str | None = None,
    ) -> Session:
        """Pattern 4: changes the members of `changes`, which are `title`, `metadata`, `archived`,
        `pinned` and `expires_in_days`. If `expires_in_days` is None, the session never expires.

        Costs 1 conditional update. Long metadata is another item, so that changing it is a
        transaction, and showing it another get. `born` is what the session must be, if it has a key
        and may have been made again since it was read.

        Raises:
            ValidationFailed, SessionNotFound, PreconditionFailed, SettingsChanged
        """
        rules.check_changes(changes)
        ulid = model.ulid_of(session_id)
        write_ids = WriteIds(self.table, self.ulids, caller)
        old_info: str | None = None
        while True:
            [change] = write_ids.take()
            depends = Depends(if_match, if_settings_version, born, old_info)
            write, info = change_writes(
                caller.partition, ulid, changes, change, write_ids.now, depends
            )
            try:
                if not info:
                    return whole_session(self.table, self.table.execute(write), self._now())
                self.table.transact({"session": write, "info": info})
                return self._changed(caller, session_id, change)
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
                if born and found.get("born") != born:
                    raise SessionNotFound from None
                if old_info != found.get("info") and "metadata" in changes:
                    old_info = str(found["info"]) if "info" in found else None
                    continue
                write_ids.follow(found, change)

    def _changed(self, caller: Caller, session_id: str, change: str) -> Session:
        """The session after a change of it.

        Raises:
            SessionNotFound: it has been deleted since. There may be another one with its key.
        """
        session = self.get(caller, session_id)
        if session.born > change:
            raise SessionNotFound
        return session

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
                return self.update(
                    caller,
                    session_id,
                    changed,
                    if_match,
                    session.settings_version,
                    born=session.born if session.session_key else None,
                )
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
            if "staged" in found and "claimed" not in found:
                raise SessionNotFound from None
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
