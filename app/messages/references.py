"""Checks `metadata.references`, the sources that ground an answer.

A reference is kept as it was sent. Refused is only what would harm a reader: an address that runs a
script, or a place that is not on the globe; and a reference without an id.
"""

import html
import math
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

Path = tuple[str | int, ...]
Fault = tuple[Path, str]

ADDRESSES = ("url", "uri", "href", "link")

SCRIPTS = re.compile(r"(java|vb|j|live|ecma)script:|mocha:|data:")

PASSIVE_DATA = re.compile(
    r"data:(image/(?!svg)[a-z0-9.+-]*|audio/[a-z0-9.+-]*|video/[a-z0-9.+-]*|font/[a-z0-9.+-]*"
    r"|text/(plain|csv|markdown|calendar)|application/(pdf|json|octet-stream|zip))?(;[^,]*)?,"
)
"""Types of `data:` that a browser shows without running anything. No type is text/plain."""

_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]")


def reference_faults(references: Any) -> Iterator[Fault]:
    """Pairs of a path within `references` and what is wrong there."""
    if references is None:
        return
    if not isinstance(references, list):
        yield (), "Not a list."
        return
    for index, reference in enumerate(references):
        if not isinstance(reference, dict):
            yield (index,), "Not an object."
            continue
        for path, message in _faults(reference):
            yield (index, *path), message


def _faults(reference: dict[str, Any]) -> Iterator[Fault]:
    yield from _id_faults(reference.get("reference_id"))
    for name in ("type", "summary", "url"):
        if not isinstance(reference.get(name), str | None):
            yield (name,), "Not a string."
    for name in ADDRESSES:
        address = reference.get(name)
        if isinstance(address, str) and runs_script(address):
            yield (name,), "This address runs a script."
    location = reference.get("location")
    if isinstance(location, dict):
        for path, message in _point_faults(location):
            yield ("location", *path), message
    elif location is not None:
        yield ("location",), "Not an object."


def _id_faults(identity: Any) -> Iterator[Fault]:
    if identity is None:
        yield ("reference_id",), "Missing."
    elif isinstance(identity, bool) or not isinstance(identity, str | int | float):
        yield ("reference_id",), "Must be a string or a number."
    elif identity == "":
        yield ("reference_id",), "Must not be empty."


def runs_script(address: str) -> bool:
    """Whether a browser may run what the address holds. The address is compared as browsers read
    it (https://url.spec.whatwg.org/#url-parsing), which ignores some characters, and as it is
    after unescaping, which careless pages do.

    >>> runs_script(" JaVa\\nScRiPt:alert(1)"), runs_script("data:text/html,x")
    (True, True)
    >>> runs_script("s3://bucket/key"), runs_script("data:image/png;base64,AAAA")
    (False, False)
    """
    for spelling in {address, html.unescape(address), unquote(address)}:
        bare = _UNSEEN.sub("", spelling).lower()
        while bare.startswith(("view-source:", "feed:", "jar:")):
            bare = bare.partition(":")[2]
        if SCRIPTS.match(bare) and not PASSIVE_DATA.match(bare):
            return True
    return False


def _point_faults(location: dict[str, Any]) -> Iterator[Fault]:
    """RFC 7946 section 3.1.1: longitude, latitude and, optionally, altitude. Locations of other
    types are not checked."""
    if location.get("type") != "Point":
        return
    coordinates = location.get("coordinates")
    if not isinstance(coordinates, list) or len(coordinates) not in (2, 3):
        yield ("coordinates",), "Must be [longitude, latitude], with an altitude if need be."
        return
    for index, (number, bound) in enumerate(zip(coordinates, (180, 90, None), strict=False)):
        if type(number) not in (int, float) or not (
            abs(number) <= bound if bound else math.isfinite(number)
        ):
            within = f" from -{bound} to {bound}" if bound else ""
            yield ("coordinates", index), f"Must be a number{within}."
