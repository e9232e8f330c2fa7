"""Checks what is logged while tests run: no tokens, no message content, no unknown members.

`watched` is for a fixture that lasts for the whole run. It yields a list of faults, each with the
test and the line. It looks for secrets, and it knows every member that a line may have. A new
member must be added here first, so that somebody decides whether it is safe to log.
"""

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app import logs

MARKER = "no-log-may-hold-this"
"""Tests put this into contents, titles and metadata to see whether it is logged."""

SECRETS = re.compile(rf"eyJ|(?i:{MARKER}|bearer |-----BEGIN|authorization)")

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_SESSION = re.compile(r"sess_[0-7][0-9A-HJKMNP-TV-Z]{25}")
_SK = re.compile(r"(SESSION#[\w#-]+|VPART#[\w-]{22}#\d\d|(SOURCE|REDACTION)#[0-9a-f]{32})")
_WORD = re.compile(r"[\w.:/<>-]*")


def _number(value: object) -> bool:
    return value is None or type(value) in (int, float)


def _word(value: object) -> bool:
    """A route, a class or a code. It has no white space, so it cannot be a user's text."""
    return value is None or (isinstance(value, str) and bool(_WORD.fullmatch(value)))


def _name(value: object) -> bool:
    """A tenant, user or agent: any text from the token. The log may hold it."""
    return value is None or isinstance(value, str)


MEMBERS: dict[str, Callable[[object], bool]] = {
    "time": _word,
    "level": _word,
    "message": lambda value: value in KINDS,
    "request_id": lambda value: isinstance(value, str) and bool(_ID.fullmatch(value)),
    "method": _word,
    "route": _word,
    "operation": _word,
    "session_id": lambda value: value is None or bool(_SESSION.fullmatch(str(value))),
    "status": _number,
    "error": _number,
    "ms": _number,
    "db_calls": _number,
    "db_ms": _number,
    "db_retries": _number,
    "db_throttles": _number,
    "db_units": _number,
    "db_failure": _word,
    "tenant": _name,
    "user": _name,
    "agent": _name,
    "refused": _word,
    "reason": _word,
    "keys": _number,
    "ambiguous": _number,
    "partition": _name,
    "sk": lambda value: isinstance(value, str) and bool(_SK.fullmatch(value)),
    "exception": _word,
    "error_code": _word,
    "frames": lambda value: isinstance(value, list) and all(map(FRAME.fullmatch, value)),
}

FRAME = re.compile(r"[^\n]+:\d+ [\w<>.]+")

KINDS = {
    "request",
    "unexpected exception",
    "token refused",
    "issuer keys fetched",
    "issuer keys not fetched",
    "issuer keys ambiguous",
    "damaged item",
}
"""Lines of other kinds, such as the sweep's, are searched only for secrets."""


def faults(line: str) -> list[str]:
    """What is wrong with a log line."""
    found = [f"holds {match[0]!r}" for match in SECRETS.finditer(line)]
    told = json.loads(line)
    if told["message"] in KINDS:
        for name, value in told.items():
            if name == "_aws":  # CloudWatch's directive: names and units
                continue
            if name not in MEMBERS:
                found.append(f"has a member {name!r} that MEMBERS does not know")
            elif not MEMBERS[name](value):
                found.append(f"has {name!r} of an unexpected kind")
    return found


_watches: list[list[str]] = []
"""The findings of each active watch. Only the last, innermost watch records new ones."""


@contextmanager
def watched() -> Iterator[list[str]]:
    """Checks every line of the app's log, and every line that other libraries log."""
    found: list[str] = []
    formatter = logs.JsonFormatter()

    def look(record: logging.LogRecord) -> bool:
        if _watches[-1] is found:
            try:
                line = formatter.format(record)
            except (TypeError, ValueError):  # from another library
                line = json.dumps({"message": record.getMessage()})
            test = os.environ.get("PYTEST_CURRENT_TEST", "no test")
            found.extend(f"{test}: the line {fault}: {line}" for fault in faults(line))
        return True

    class Others(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name != logs.log.name:  # its lines reach the root logger until it is set up
                look(record)

    _watches.append(found)
    # A filter, because the app replaces all handlers with its own when it starts.
    logs.log.addFilter(look)
    others = Others(logging.INFO)
    logging.getLogger().addHandler(others)
    try:
        yield found
    finally:
        logs.log.removeFilter(look)
        logging.getLogger().removeHandler(others)
        _watches.remove(found)
