"""The writes that change a session's settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.literals import text_of
from app.sessions import model, rules
from app.sessions.creation import expiry, put_info
from app.table import ids, keys, writes
from app.table.versions import IfMatch, match_version
from app.table.writes import Value, Write


@dataclass(frozen=True, slots=True)
class Depends:
    """What the session must be for the change: its version, the version of its settings, and, if it
    has a key and may have been made again, its birth. `old_info` is the id of its long metadata.
    """

    if_match: IfMatch | None = None
    settings_version: int | None = None
    born: str | None = None
    old_info: str | None = None


def change_writes(
    partition: str,
    session_ulid: str,
    changes: Mapping[str, Any],
    change: str,
    now: str,
    depends: Depends,
) -> tuple[Write, Write | None]:
    """The write of the session's item, with the id `change`, and that of its long metadata, if it
    gets or had any."""
    plain = {name: changes[name] for name in ("archived", "pinned") if name in changes}
    sets = {"last_ulid": change, **model.to_attributes(plain)}
    matches, versions = match_version(depends.if_match)
    conditions = [f"{model.LIVE} AND last_ulid < :last_ulid{matches}"]
    values: dict[str, Value] = {":now": now, **versions}
    info: Write | None = None
    if "title" in changes:
        sets["title"] = rules.one_line(changes["title"])
    if "metadata" in changes:
        text = text_of(changes["metadata"])
        long = model.is_long(text)
        sets |= model.to_attributes({"metadata": None if long else text})
        sets["info"] = change if long else None
        if long:
            info = put_info(partition, session_ulid, change, text)
        elif depends.old_info:
            info = writes.delete(keys.info(partition, session_ulid))
            conditions.append("info = :old_info")
            values[":old_info"] = depends.old_info
        else:
            conditions.append("attribute_not_exists(info)")
    if "expires_in_days" in changes:
        until = expiry(ids.milliseconds(change), changes["expires_in_days"])
        due: dict[str, Any] = keys.by_due_time(session_ulid, until) if until else {}
        sets |= {"expires_at": until, "GSI2PK": None, "GSI2SK": None, **due}
    if depends.born:
        conditions.append("born = :born")
        values[":born"] = depends.born
    if depends.settings_version is not None:
        conditions.append("settings_version = :seen_settings")
        values[":seen_settings"] = depends.settings_version
    key = keys.session(partition, session_ulid)
    counted = {"version": 1, "settings_version": 1}
    return writes.change(key, sets, values, " AND ".join(conditions), counted), info
