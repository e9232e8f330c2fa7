"""The keys of sources. Two mentions of one thing get one key, whatever a provider calls it.

Where a provider names nothing that lasts, the key is weak and says so.
"""

import base64
import binascii
import hashlib
import re
from typing import Any

from app.formats.reading import string
from app.grounding.model import Source

MAX_KEY = 1024
"""Characters of a key, which each citation repeats. A longer one is replaced by its hash."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//[^/?#]*)?([^?#]*)(?:\?([^#]*))?", re.DOTALL)
_REDIRECTS = ("//vertexaisearch.cloud.google.com/grounding-api-redirect/",)


def url(address: Any, **about: Any) -> Source | None:
    """A source by its address; None if it is not one.

    >>> url("HTTPS://Example.com/A?id=7&utm_source=openai#top").key
    'url:https://example.com/A?id=7'
    """
    raw = string(address)
    match = _ADDRESS.match(raw or "")
    if not raw or not match:
        return None
    scheme, host, path, query = match.groups()
    host = (host or "").lower()
    kept = [pair for pair in (query or "").split("&") if not pair.lower().startswith("utm_")]
    asked = f"?{'&'.join(kept)}" if any(kept) else ""
    identity = "redirect" if f"{host}{path}".startswith(_REDIRECTS) else "strong"
    key = bounded(f"url:{scheme.lower()}:{host}{path}{asked}")
    return Source(key, **{"kind": "url", "raw": raw, "identity": identity, **about})


def file(provider: str, identifier: Any, **about: Any) -> Source | None:
    raw = string(identifier)
    return Source(bounded(f"file:{provider}:{raw}"), "file", raw, **about) if raw else None


def document(identifier: Any, **about: Any) -> Source | None:
    raw = string(identifier)
    return (
        Source(bounded(f"doc:{raw}"), **{"kind": "document", "raw": raw, **about}) if raw else None
    )


def weak_document(provider: str, name: Any, **about: Any) -> Source | None:
    """One whose name or id holds for this provider, or this answer, only."""
    raw = string(name)
    if not raw:
        return None
    about = {"kind": "document", "identity": "weak", **about}
    return Source(bounded(f"doc:{provider}:{raw}"), raw=raw, **about)


def place(identifier: Any, **about: Any) -> Source | None:
    raw = string(identifier)
    return Source(bounded(f"place:{raw}"), "place", raw, **about) if raw else None


def content(text: str, title: str | None = None) -> Source:
    """A source that has no name but its text."""
    key = f"sha256:{digest(text.encode('utf-8', 'surrogatepass'))}"
    return Source(key, "document", title=title, text=text)


def encoded_content(data: Any, **about: Any) -> Source | None:
    """The same for bytes in base64; None if they are not."""
    if not isinstance(data, str):
        return None
    try:
        return Source(f"sha256:{digest(base64.b64decode(data))}", "document", **about)
    except (binascii.Error, ValueError):
        return None


def unknown(raw: str, fault: str) -> Source:
    return Source(None, "unknown", raw[:MAX_KEY], fault=fault)


def bounded(key: str) -> str:
    return key if len(key) <= MAX_KEY else f"sha256:{key_hash(key)}"


def key_hash(key: str) -> str:
    """What a key is called in an address."""
    return digest(key.encode("utf-8", "surrogatepass"))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
