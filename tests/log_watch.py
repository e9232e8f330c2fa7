"""Watches what is logged while tests run: no token, nothing that a message says, nothing unknown.

`watched` is for a fixture that lasts as long as the run; what it yields says at the end which
lines, of which tests, should not have been. Beside looking for what must not be there it knows
every member that a line may have, so that a new one has to be thought about here first.
"""

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app import logs

MARKER = "no-log-may-hold-this"
"""Put into contents, titles and metadata by tests that want to know."""

SECRETS = re.compile(rf"eyJ|(?i:{MARKER}|bearer |-----BEGIN|authorization)")

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_SESSION = re.compile(r"sess_[0-7][0-9A-HJKMNP-TV-Z]{25}")
_SK = re.compile(r"SESSION#[\w#-]+")
_WORD = re.compile(r"[\w.:/<>-]*")


def _number(value: object) -> bool:
    return value is None or type(value) in (int, float)


def _word(value: object) -> bool:
    """A route, a class, a code: no white space, so nothing anybody has said."""
    return value is None or (isinstance(value, str) and bool(_WORD.fullmatch(value)))


def _name(value: object) -> bool:
    """Who: whatever the token said, which is for the log to tell."""
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
    "tenant": _name,
    "user": _name,
    "agent": _name,
    "partition": _name,
    "sk": lambda value: isinstance(value, str) and bool(_SK.fullmatch(value)),
    "exception": _word,
    "error_code": _word,
    "frames": lambda value: isinstance(value, list) and all(map(FRAME.fullmatch, value)),
}

FRAME = re.compile(r"[^\n]+:\d+ [\w<>.]+")

KINDS = {"request", "unexpected exception", "damaged item"}
"""Lines of other kinds (the sweep's, for one) are looked through for secrets alone."""


def faults(line: str) -> list[str]:
    """What is wrong with a line of the log."""
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
"""What has been found by the watches that are on; the last one, innermost, takes it all."""


@contextmanager
def watched() -> Iterator[list[str]]:
    """Looks at every line of the app's log, and at what other libraries' loggers let through."""
    found: list[str] = []
    formatter = logs.JsonFormatter()

    def look(record: logging.LogRecord) -> bool:
        if _watches[-1] is found:
            try:
                line = formatter.format(record)
            except (TypeError, ValueError):  # of another library
                line = json.dumps({"message": record.getMessage()})
            test = os.environ.get("PYTEST_CURRENT_TEST", "no test")
            found.extend(f"{test}: the line {fault}: {line}" for fault in faults(line))
        return True

    class Others(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name != logs.log.name:  # which hands its lines on before it is set up
                look(record)

    _watches.append(found)
    # A filter: the app puts its own handler in the place of all others as it starts.
    logs.log.addFilter(look)
    others = Others(logging.INFO)
    logging.getLogger().addHandler(others)
    try:
        yield found
    finally:
        logs.log.removeFilter(look)
        logging.getLogger().removeHandler(others)
        _watches.remove(found)
