"""Cursors. A cursor holds a position in one list, and nothing else.

The partition to read always comes from the caller, so a stolen or forged cursor gives no access.
The tag only ensures that a cursor is used with the list it came from.
"""

import base64
import binascii
import hashlib

from app.errors import InvalidCursor

_TAG_BYTES = 9


def make_cursor(scope: str, position: str) -> str:
    """`scope` identifies the list (partition, session, order). `position` is the page's end."""
    return base64.urlsafe_b64encode(_tag(scope) + position.encode()).decode().rstrip("=")


def read_cursor(scope: str, cursor: str) -> str:
    """
    >>> read_cursor("alice's messages", make_cursor("alice's messages", "01M"))
    '01M'

    Raises:
        InvalidCursor: the cursor is forged, truncated, or from another list.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position = raw[_TAG_BYTES:].decode()
    except (binascii.Error, ValueError):
        raise InvalidCursor from None
    if raw[:_TAG_BYTES] != _tag(scope) or make_cursor(scope, position) != cursor:
        raise InvalidCursor
    return position


def _tag(scope: str) -> bytes:
    return hashlib.blake2b(scope.encode(), digest_size=_TAG_BYTES).digest()
