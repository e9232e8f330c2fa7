"""The id of a session with a key, worked out without a request."""

import hashlib

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32


def session_id_of(key: str) -> str:
    """The first 128 bits of the key's SHA-256 as a ULID, which the service documents.

    >>> session_id_of("user_123")
    'sess_40ZEGAW728WEBRWGZ4XZ1PBRAE'
    """
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big")
    return "sess_" + "".join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))
