"""Ids that follow from keys, worked out without a request."""

import hashlib
import re

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32


def session_id_of(key: str) -> str:
    """The first 128 bits of the key's SHA-256 as a ULID, which the service documents.

    >>> session_id_of("user_123")
    'sess_40ZEGAW728WEBRWGZ4XZ1PBRAE'
    """
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big")
    return "sess_" + "".join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))


_LONGEST = 1024
"""Characters of a source's key. A longer one has another key, made from its hash."""

_HALVES = re.compile("[\ud800-\udfff]")


def source_hash_of(key: str) -> str:
    """What a source with this key is called in addresses: the first 128 bits of the key's SHA-256.
    Halves of surrogate pairs count as U+FFFD, as the service shows them.

    >>> source_hash_of("doc:inc_abc123")
    '9f9012cfb95b5fabf6926a0e082cc73b'
    """
    whole = _HALVES.sub("\ufffd", key)
    return _hash(whole if len(whole) <= _LONGEST else f"sha256:{_hash(whole)}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
