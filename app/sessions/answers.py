"""Sessions in responses. Their metadata is sent as it was stored."""

from typing import Any

from app.http.answers import JsonText
from app.sessions.model import Session
from app.table.ids import MESSAGE_PREFIX, SESSION_PREFIX


def session_members(session: Session) -> dict[str, Any]:
    return {
        "session_id": session.session_id,
        "key": session.session_key,
        "title": session.title,
        "domain_id": session.domain_id,
        "message_count": session.message_count,
        "feedback_count": session.feedback_count,
        "last_activity": session.last_activity,
        "created_at": session.created_at,
        "archived": session.archived,
        "pinned": session.pinned,
        "metadata": None if session.metadata is None else JsonText(session.metadata),
        "last_message": last_message(session),
        "id": session.id,
        "version": session.version,
        "settings_version": session.settings_version,
        "updated_at": session.updated_at,
        "expires_at": session.expires_at,
        "forked_from": forked_from(session),
        "imported": session.imported is not None,
    }


def forked_from(session: Session) -> dict[str, str | None] | None:
    if not session.forked_from:
        return None
    source, _, last = session.forked_from.partition("#")
    return {
        "session_id": SESSION_PREFIX + source,
        "message_id": MESSAGE_PREFIX + last if last else None,
    }


def row_members(session: Session) -> dict[str, Any]:
    """A row of the list, which has no long metadata."""
    members = session_members(session)
    return members | {"metadata_omitted": True} if session.metadata is None else members


def last_message(session: Session) -> dict[str, str | None] | None:
    if not session.last_message:
        return None
    return {
        "message_id": MESSAGE_PREFIX + session.last_message,
        "role": session.last_role,
        "text": session.excerpt or "",
    }
