"""The command `session-store`."""

import argparse
import importlib
import json
import os
import pkgutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from session_store import _importing as importing
from session_store import migrations
from session_store._importing import ChangedMeanwhile, Done
from session_store._sync.client import Client
from session_store.errors import ApiError, Forbidden, SessionStoreError, Unauthorized, Unavailable
from session_store.migrations import Conversation, Record
from session_store.tokens import Token

NAMES = sorted(module.name for module in pkgutil.iter_modules(migrations.__path__))

OUTCOMES = ("read", "imported", "completed", "skipped", "failed")

STOPS = (Unauthorized, Forbidden, Unavailable)
"""Errors that the next conversation would meet, too."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="session-store")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    command = commands.add_parser(
        "import",
        help="import what a framework has stored itself",
        description="Imports what a framework has stored itself. The token is read from "
        "SESSION_STORE_TOKEN or a file; it needs the scope sessions:import. Run again, the "
        "command adds only what is missing.",
    )
    command.add_argument(
        "--from",
        required=True,
        choices=NAMES,
        dest="name",
        metavar="NAME",
        help=f"the framework: {', '.join(NAMES)}",
    )
    command.add_argument("path", type=Path, metavar="PATH", help="its file or folder")
    command.add_argument(
        "--url",
        default=os.environ.get("SESSION_STORE_URL"),
        help="the service, ends with /api/v1 (default: SESSION_STORE_URL)",
    )
    command.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="read for each request, so that it may be renewed",
    )
    command.add_argument("--domain-id", help="of all sessions, instead of the framework's")
    command.add_argument("--dry-run", action="store_true", help="read everything, send nothing")
    arguments = parser.parse_args()
    records = _read(arguments.name, arguments.path, arguments.domain_id)
    try:
        if arguments.dry_run:
            failed = _run(records, importing.count)
        else:
            if not arguments.url:
                command.error("give --url or SESSION_STORE_URL")
            with Client(arguments.url, _token(command, arguments.token_file)) as client:
                failed = _run(records, lambda record: importing.write(client, record))
    except SessionStoreError as error:
        sys.exit(f"session-store: {error}")
    sys.exit(failed)


def _token(command: argparse.ArgumentParser, file: Path | None) -> Token:
    if file:
        try:
            file.read_text()
        except OSError as error:
            command.error(f"--token-file: {error}")
        return lambda: file.read_text().strip()
    token = os.environ.get("SESSION_STORE_TOKEN")
    if not token:
        command.error("give SESSION_STORE_TOKEN or --token-file")
    return token


def _read(name: str, path: Path, domain_id: str | None) -> Iterator[Record]:
    for record in importlib.import_module(f"session_store.migrations.{name}").read(path):
        if domain_id and isinstance(record, Conversation):
            record.session["domain_id"] = domain_id
        yield record


def _run(records: Iterator[Record], do: Callable[[Record], Done]) -> bool:
    """Prints a line for each record. Returns whether any failed."""
    total: Counter[str] = Counter()
    for record in records:
        try:
            done = do(record)
        except STOPS:
            raise
        except (ApiError, ChangedMeanwhile, ValueError) as error:
            print(f"failed {_name(record)}: {error}", flush=True)
            total["failed"] += 1
            continue
        print(_line(record, done), flush=True)
        total[done.what] += 1
        total["messages"] += done.messages
        total["values"] += done.values
    outcomes = [f"{total[what]} {what}" for what in OUTCOMES if total[what]]
    print(
        f"{', '.join(outcomes) or 'nothing found'}: "
        f"{total['messages']} messages, {total['values']} values"
    )
    return bool(total["failed"])


def _line(record: Record, done: Done) -> str:
    line = f"{done.what} {_name(record)}"
    if done.what == "skipped":
        return f"{line}: is there already"
    line += f": {done.messages} messages, {done.values} values"
    if done.undated:
        line += f" ({done.undated} messages with the present time)"
    return line


def _name(record: Record) -> str:
    """Keys of sessions and names of users, never content."""
    if isinstance(record, Conversation):
        name = json.dumps(record.session["key"], ensure_ascii=False)
    else:
        name = f"values of the {record.place}"
    return name if record.user is None else f"{name} of {json.dumps(record.user)}"
