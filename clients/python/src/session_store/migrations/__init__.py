"""What frameworks have stored themselves, read for `session-store import --from NAME PATH`.

Each module is named after its framework and has one function:

    def read(path: Path) -> Iterator[Conversation | Values]

It yields what the framework's adapter would have stored, so that the adapter then reads what the
framework's own backend gave. It holds one conversation at a time in memory, and needs only the
standard library where the stored form allows that. A file of another kind, or a damaged one, is
`SourceUnreadable`.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from session_store.errors import SessionStoreError
from session_store.models import DatedMessage, Json, SessionToCreate, Write


class SourceUnreadable(SessionStoreError):
    """The file or folder is not what the framework writes, or it is damaged. Says where."""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A session with what is in it.

    `session` has the `key` by which the adapter finds it. `messages` have `created_at` as in
    RFC 3339. A time before the one of the message before is moved to that, a future one to now.
    `created_at` of the session is the time of the first message by default. `values` are the
    session's, each with `put`. `ratings` are feedback, by the number of the message, from 0.
    `user` is None if the framework knows no users: then it is the user of the token.
    """

    session: SessionToCreate
    messages: Iterable[DatedMessage] = ()
    values: Iterable[Write] = ()
    ratings: Mapping[int, str | float | bool] = field(default_factory=dict)
    created_at: str | None = None
    user: str | None = None


@dataclass(frozen=True, kw_only=True)
class Values:
    """Values of a user or of the tenant, each with `put`."""

    place: Literal["user", "tenant"]
    values: Iterable[Write]
    user: str | None = None


Record = Conversation | Values


@contextmanager
def open_sqlite(path: Path, *tables: str) -> Iterator[sqlite3.Connection]:
    """Opens a database for reading. Rows have names.

    Raises:
        SourceUnreadable: it is no SQLite database, it is damaged, or it lacks one of the tables.
            Errors within the block become this, too.
    """
    if not path.is_file():
        raise SourceUnreadable(f"{path}: no such file")
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            database.row_factory = sqlite3.Row
            found = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            for table in tables:
                if table not in found:
                    raise SourceUnreadable(f"{path}: has no table {table}")
            yield database
    except sqlite3.DatabaseError as error:
        raise SourceUnreadable(f"{path}: {error}") from error


def parse_json(text: str | bytes, where: str) -> Json:
    """`where` is for the message, for example the file's name and the row.

    Raises:
        SourceUnreadable
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceUnreadable(f"{where}: no JSON ({error})") from None


def read_json(path: Path) -> Json:
    """
    Raises:
        SourceUnreadable
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceUnreadable(f"{path}: {error.strerror}") from None
    return parse_json(content, str(path))


def modified_at(path: Path) -> str:
    """For what has no time of its own."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()


def utc(text: str, where: str) -> str:
    """A time as databases write it, `2026-11-30 06:49:21`, which is UTC unless it says otherwise.
    The results can be compared as text.

    Raises:
        SourceUnreadable
    """
    try:
        found = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise SourceUnreadable(f"{where}: {text!r} is no time") from None
    known = found if found.tzinfo else found.replace(tzinfo=UTC)
    return known.astimezone(UTC).isoformat(timespec="microseconds")
