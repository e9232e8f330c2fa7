"""The commands for operators: table | token | identity | sweep | check | erase | export | import |
restore.

This module is over 250 lines because all commands are here.
"""

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import click
import flask
from flask.cli import AppGroup, with_appcontext

from app import logs
from app.config import Config, ConfigError
from app.conversations.restoring import BadLine, Restored
from app.errors import ApiError
from app.identity.caller import Caller, NotACaller
from app.identity.dev_tokens import sign
from app.operations import provision, tenant_erasure, transfer
from app.operations.check import Checked, check
from app.operations.repair import repair
from app.operations.sweep import SweepFailed, sweep
from app.table import ids
from app.table.client import operator_message
from app.table.db import Table

table_group = AppGroup("table", help="Create, describe or delete the DynamoDB table.")
identity_group = AppGroup("identity", help="Find out what a token would be.")

P = ParamSpec("P")

EXPECTED = (ConfigError, ApiError, SweepFailed, NotACaller, tenant_erasure.StillInUse)
"""Exceptions whose text says what to do."""


def show_errors_briefly(command: Callable[P, None]) -> Callable[P, None]:
    """Shows errors that an operator can fix, such as an unreachable table, in one line."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except Exception as error:
            if line := _one_line(error):
                raise click.ClickException(line) from None
            raise

    return with_appcontext(run)


def _one_line(error: Exception) -> str | None:
    """What an operator can do about an error; None for an error that nobody expects. AWS's error is
    often the cause of ours."""
    cause: BaseException | None = error
    while isinstance(cause, Exception):
        if line := operator_message(cause):
            return line
        cause = cause.__cause__
    return str(error) if isinstance(error, EXPECTED) else None


def init_app(app: flask.Flask, config: Config) -> None:
    app.config["JWT"] = config
    app.cli.add_command(table_group)
    app.cli.add_command(token)
    app.cli.add_command(identity_group)
    app.cli.add_command(sweep_command)
    app.cli.add_command(check_command)
    app.cli.add_command(erase_command)
    app.cli.add_command(export_command)
    app.cli.add_command(import_command)
    app.cli.add_command(restore_command)


def _table() -> Table:
    table: Table = flask.current_app.extensions["table"]
    return table


@table_group.command("create")
@click.option("--kms-key", help="Encrypt with this key (ARN or id) instead of Amazon's.")
@click.option("--tag", "tags", multiple=True, help="NAME=VALUE. Can be repeated.")
@show_errors_briefly
def create_table(kms_key: str | None, tags: tuple[str, ...]) -> None:
    """Create the table, or update an existing one, and print what was done."""
    if not all("=" in tag for tag in tags):
        raise click.BadParameter("must be NAME=VALUE", param_hint="--tag")
    if kms_key and "alias/" in kms_key:
        # DynamoDB shows a table's key, but not its alias, so the key would be set again each time.
        raise click.BadParameter("must be a key's ARN or id, not an alias", param_hint="--kms-key")
    pairs = dict(tag.split("=", 1) for tag in tags)
    try:
        for line in provision.create(_table(), kms_key=kms_key, tags=pairs):
            click.echo(line)
    except provision.Differs as difference:
        raise click.ClickException(f"table {_table().name} differs: {difference}") from None


@table_group.command("describe")
@show_errors_briefly
def describe_table() -> None:
    """Print DynamoDB's description of the table."""
    description = provision.describe(_table())
    if description is None:
        raise click.ClickException(f"there is no table {_table().name}")
    click.echo(json.dumps(description, indent=2, default=str))


@table_group.command("delete")
@click.argument("name")
@show_errors_briefly
def delete_table(name: str) -> None:
    """Delete the table NAME and every conversation in it."""
    if name != _table().name:
        raise click.ClickException(f"SESSIONS_TABLE names {_table().name}: nothing was deleted")
    for line in provision.delete(_table()):
        click.echo(line)


@click.command("token")
@click.option("--tenant", required=True)
@click.option("--user", required=True)
@click.option("--expires-in", default=3600, show_default=True, help="Seconds.")
@click.option("--scope", help="Scopes, separated by spaces. Default: read and write.")
@click.option("--agent", help="The agent that acts for the user (RFC 8693 act).")
@show_errors_briefly
def token(tenant: str, user: str, expires_in: int, scope: str | None, agent: str | None) -> None:
    """Print a token signed with JWT_SECRET, for development and tests."""
    config: Config = flask.current_app.config["JWT"]
    click.echo(sign(config, tenant, user, expires_in=expires_in, scope=scope, agent=agent))


@identity_group.command("check")
@click.argument("token", required=False)
@show_errors_briefly
def check_token(token: str | None) -> None:
    """Say what TOKEN would be; or if it is refused, why. Exits with 1 then.

    Without TOKEN, or with -, it is read from standard input, so that it does not stay in the
    shell's history. A terminal passes on 4,095 characters; use a file for longer tokens. The token
    is never shown.
    """
    from app.operations import token_check  # the other commands, and Lambda, do not need it

    logs.log.setLevel("CRITICAL")  # the lines below say more
    if token is None or token == "-":  # noqa: S105  the usual sign for standard input
        ask = sys.stdin.isatty()
        token = str(click.prompt("Token", hide_input=True)) if ask else sys.stdin.read()
    told = token_check.check(flask.current_app.extensions["verifier"], token)
    for line in told.lines:
        click.echo(line)
    if not told.accepted:
        raise click.exceptions.Exit(1)


@click.command("sweep")
@click.option("--seconds", default=60.0, show_default=True, help="Stop after this many seconds.")
@show_errors_briefly
def sweep_command(seconds: float) -> None:
    """Finish interrupted deletes and remove expired sessions."""
    report = sweep(_table(), seconds=seconds)
    rest = "nothing is left to do" if report.finished else "more remains; run it again"
    click.echo(f"removed {report.sessions} sessions, {report.messages} messages; {rest}")
    if report.failed:
        raise click.ClickException(f"{report.failed} could not be removed: {report.failure}")


@click.command("check")
@click.option("--repair", "wanted", is_flag=True, help="Say what can be mended, and how.")
@click.option("--apply", is_flag=True, help="With --repair: mend it.")
@show_errors_briefly
def check_command(wanted: bool, apply: bool) -> None:
    """Check the whole table for damage. Exits with 1 if there is any left.

    Reads the whole table twice and needs permission to scan. Writes only with --repair --apply.
    """
    if apply and not wanted:
        raise click.BadParameter("needs --repair", param_hint="--apply")
    checked, found, mended = Checked(), 0, 0
    findings = check(_table(), checked=checked)
    for finding, what, is_mended in repair(_table(), findings, apply=apply):
        click.echo(f"{finding}\n  {what}" if wanted else str(finding))
        found, mended = found + 1, mended + is_mended
    click.echo(
        f"checked {checked.users} users, {checked.sessions} sessions, {checked.messages} messages,"
        f" {checked.values} values, {checked.verdicts} verdicts, {checked.records} records"
        f" ({checked.pending} wait for the sweep): {found} findings"
        f"{f', {mended} mended' if apply else ''}"
    )
    if found > mended:
        raise click.exceptions.Exit(1)


@click.command("erase")
@click.option("--tenant", required=True)
@click.option("--user", help="Only this user of the tenant.")
@click.option("--confirm", help="The user again, or without --user the tenant. Asked if left out.")
@show_errors_briefly
def erase_command(tenant: str, user: str | None, confirm: str | None) -> None:
    """Erase all that a user has stored, or all that a tenant has.

    It can be interrupted and run again.
    """
    named = tenant if user is None else user
    what = f"tenant {tenant}" if user is None else f"user {user} of tenant {tenant}"
    if confirm is None:
        confirm = click.prompt(f"Erase {what} from table {_table().name}? Type {named} to confirm")
    if confirm != named:
        raise click.ClickException(f"{confirm} is not {named}: nothing was erased")
    if user is None:
        erased = tenant_erasure.erase_tenant(_table(), tenant)
    else:
        erased = tenant_erasure.erase_user(_table(), tenant, user)
    values = ", and the tenant's values" if erased.tenant_values else ""
    verdicts = f", and {erased.verdicts} verdicts on sources" if erased.verdicts else ""
    click.echo(
        f"erased {erased.users} users, {erased.sessions} sessions, {erased.messages} messages"
        f"{values}{verdicts}; the sweep removes what was written meanwhile"
    )


@click.command("export")
@click.option("--tenant", required=True)
@click.option("--user", help="Only this user.")
@click.option("--to", "path", required=True, type=click.Path(path_type=Path), help="A new file.")
@click.option("--resume", is_flag=True, help="Go on with a file that is not complete.")
@show_errors_briefly
def export_command(tenant: str, user: str | None, path: Path, resume: bool) -> None:
    """Write all that a tenant has to a file, as lines of JSON."""
    try:
        damaged = transfer.export(_table(), tenant, user, path, resume=resume)
    except FileExistsError:
        raise click.ClickException(f"{path} exists. Use --resume to go on with it.") from None
    except (KeyError, ValueError) as error:
        raise click.ClickException(f"{path} cannot be continued: {error}") from None
    if damaged:
        raise click.ClickException(f"{damaged} lines tell of what cannot be read; run flask check")


@click.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tenant", required=True, help="The tenant to import into.")
@show_errors_briefly
def import_command(path: Path, tenant: str) -> None:
    """Import a file that `flask export` or GET /export has written.

    What is there already is left as it is. So an import that was interrupted is run again.
    """
    restored = Restored()
    web = flask.current_app.extensions["message_store"].web_sources
    lines = transfer.restore(_table(), tenant, path, web_sources=web)
    try:
        for restored in lines:  # noqa: B007  the last one counts
            pass
    except BadLine as error:
        raise click.ClickException(f"{path}: {error}") from None
    click.echo(
        f"imported {restored.sessions} sessions, {restored.messages} messages,"
        f" {restored.values} values, {restored.verdicts} verdicts; {restored.existing} were there,"
        f" {restored.expired} have expired, {restored.damaged} were damaged"
    )


@click.command("restore")
@click.option("--from-table", "source", required=True, help="The table that a backup is in.")
@click.option("--tenant", required=True)
@click.option("--user", required=True)
@click.option("--session", "session_id", help="Only this session, instead of all of the user.")
@show_errors_briefly
def restore_command(source: str, tenant: str, user: str, session_id: str | None) -> None:
    """Copy a user, or one session, from another table of the same account and region.

    What is there already is left as it is. So a restore that was interrupted is run again.
    """
    table = _table()
    if source == table.name:
        raise click.BadParameter("is the table to restore into", param_hint="--from-table")
    ulid = ids.parse(ids.SESSION_PREFIX, session_id) if session_id else ""
    if ulid is None:
        raise click.BadParameter("must be the id of a session", param_hint="--session")
    caller, restored = Caller(tenant, user), Restored()
    other = Table(source, table.client)
    web = flask.current_app.extensions["message_store"].web_sources
    try:
        for restored in transfer.restore_from(other, table, caller, ulid, web_sources=web):  # noqa: B007
            pass
    except BadLine as error:
        raise click.ClickException(f"table {source}: {error}") from None
    click.echo(
        f"restored {restored.sessions} sessions, {restored.messages} messages,"
        f" {restored.values} values; {restored.existing} were there, {restored.expired} have"
        f" expired, {restored.damaged} are damaged in {source}"
    )
    if restored.damaged:
        raise click.exceptions.Exit(1)
    if restored == Restored():
        what = f"session {session_id}" if session_id else f"user {user} of tenant {tenant}"
        raise click.ClickException(f"table {source} has nothing of {what}")
