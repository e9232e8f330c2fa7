"""Makes a session out of one from elsewhere, with its dates (access pattern 19)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.conversations import filling
from app.errors import Contended, ValidationFailed
from app.identity.caller import Caller
from app.messages import edges, rules, sizes
from app.messages.edges import edges_of
from app.messages.excerpts import excerpt
from app.messages.items import items_of
from app.messages.model import MAX_IMPORT, Message, NewMessage
from app.sessions.creation import NewSession
from app.sessions.model import Session
from app.table import ids
from app.table.database_time import checked_time
from app.table.db import Table
from app.table.idempotency import IdempotencyKey

ROUND = 200
"""Items that are written at a time."""


@dataclass(frozen=True, slots=True)
class DatedMessage:
    """`at` is in milliseconds since 1970, UTC. `created_by` is the importer if it is None."""

    message: NewMessage
    at: int
    created_by: str | None = None


class SessionImporter:
    def __init__(
        self, table: Table, ulids: ids.UlidSource | None = None, *, web_sources: bool = False
    ) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()
        self.web_sources = web_sources

    def load(
        self,
        caller: Caller,
        new: NewSession,
        messages: Sequence[DatedMessage],
        *,
        created_at: int | None = None,
        idempotency_key: IdempotencyKey | None = None,
        checked: bool = False,
    ) -> tuple[Session, bool]:
        """Creates a session with messages that have dates. Their ids are made from those, and the
        list of sessions shows it where it belongs. The second value of the result is true if this
        repeats an earlier request. Nobody sees the session before it is whole.

        Costs 1 or 2 gets, 1 write, ⌈items/25⌉ batch writes and 1 transaction.

        Args:
            created_at: by default the time of the first message.

        Raises:
            ValidationFailed: also if times fall or are in the future.
            TooLarge, SessionExists, IdempotencyKeyReused, GoneSince
            Unavailable: another request is making a session with this key.
        """
        new.check()
        if not checked:
            rules.check_many([dated.message for dated in messages], MAX_IMPORT)
        now = checked_time(self.table, self.ulids.clock, caller.partition)
        if created_at is None:
            created_at = messages[0].at if messages else now
        _check_times(messages, created_at, now)
        bodies = [
            sizes.body(index, dated.message, dated.created_by or caller.writer)
            for index, dated in enumerate(messages)
        ]
        replay = filling.earlier(self.table, caller, idempotency_key, now)
        if replay:
            return replay, True
        [staged] = self.ulids.new(now=now)
        session_ulid = ids.from_key(new.key) if new.key else staged
        about = {"staged_from": staged}  # nobody can go on with it
        stage = filling.stage(
            self.table, caller, session_ulid, staged, now, about, new.key or session_ulid
        )
        whole = self._messages(caller, session_ulid, messages, bodies)
        items = [
            item
            for message in whole
            for items in (items_of, edges_of)
            for item in items(caller.partition, message)
        ]
        for start in range(0, len(items), ROUND):
            self.table.put_many(items[start : start + ROUND])
        last = whole[-1] if whole else None

        def make(born: str) -> Session:
            return replace(
                new.made(born),
                ulid=session_ulid,
                message_count=len(whole),
                last_message=last.ulid if last else None,
                last_role=last.role if last else None,
                excerpt=excerpt(last) if last else None,
                last_activity=last.timestamp if last else ids.iso_time(created_at),
                imported=ids.iso_time(created_at),
            )

        session = filling.show(self.table, self.ulids, caller, stage, make, {}, idempotency_key)
        if not session:
            raise Contended
        return session, False

    def _messages(
        self,
        caller: Caller,
        session_ulid: str,
        messages: Sequence[DatedMessage],
        bodies: Sequence[str],
    ) -> list[Message]:
        whole: list[Message] = []
        ulid = ""
        for dated, body in zip(messages, bodies, strict=True):
            [ulid] = self.ulids.new(after=ulid, now=dated.at)
            found = edges.find([dated.message], web=self.web_sources)
            [indexed], _ = edges.choose(found, caller.partition, [body])
            whole.append(
                Message(
                    session_ulid,
                    ulid,
                    body,
                    role=str(dated.message.spoken_role),
                    created_by=dated.created_by or caller.writer,
                    name=dated.message.name,
                    status=dated.message.status,
                    imported=True,
                    sources=indexed.sources,
                    given=indexed.given,
                )
            )
        return whole


def _check_times(messages: Sequence[DatedMessage], created_at: int, now: int) -> None:
    """
    Raises:
        ValidationFailed
    """
    faults = []
    if created_at > now:
        faults.append(("session.created_at", "Is in the future."))
    earliest = created_at
    for index, dated in enumerate(messages):
        place = f"messages[{index}].created_at"
        if dated.at > now:
            faults.append((place, "Is in the future."))
        if dated.at < earliest:
            faults.append((place, "Is before the message before it, or before the session."))
        earliest = max(earliest, dated.at)
    if faults:
        raise ValidationFailed.of_json(faults)
