"""`penstock auth`: users, API keys, signing in, and the audit log.

Passwords and keys are typed, or read from standard input; there is no option for them, since the shell's history and
the list of processes would show it.
"""

from __future__ import annotations

import re
import secrets
import socket
import sys
from datetime import datetime
from typing import Any

import click
from msgspec import structs

from penstock import connect
from penstock.cli import choosing, shown
from penstock.cli.output import JSON, is_terminal, output_option, print_fields, print_json, print_table, remark
from penstock.domain import filters, names
from penstock.domain.accounts import JOURNAL, LONGEST_PASSWORD, READ, ApiKey, Role
from penstock.domain.audit import AuditEntry
from penstock.domain.errors import ConfigurationError, UnstorableValue
from penstock.protocol import accounts as asked
from penstock.protocol.operation import Nothing, Operation
from penstock.protocol.paging import MOST

_SPAN = re.compile(r"(\d+[smhdw])+", re.IGNORECASE)
_ROLES = [role.value for role in Role]
NO_USERS = "There are no users yet. To make the first: `penstock auth create-user NAME --role admin`."
NO_KEYS = "There are no API keys yet. To make one: `penstock auth create-key NAME`."


@click.group()
def auth() -> None:
    """Manage users, API keys and signing in; read the audit log."""


def _call(operation: Operation[Any, Any], argument: Any) -> Any:
    """The server's answer; without PENSTOCK_API_URL that of the record itself, which on a server's machine is the
    server's: so its first admin is made."""
    from penstock.settings import current

    settings = current()
    if settings.api_url is not None or settings.database_url is None:
        return connect.call(operation, argument, way="CLI")
    from penstock.store.opening import open_store

    spool, direct = settings.home / "spool", settings.database_direct_url
    store = open_store(settings.database_url, spool_folder=spool, direct=direct)
    try:
        return connect.desk(store, "CLI").wait_for_answer(operation, argument)
    finally:
        store.close()


# --- users -----------------------------------------------------------------------------------------------------------


@auth.command("create-user")
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), default=Role.VIEWER.value, show_default=True)
@click.option("--no-password", is_flag=True, help="A user that has API keys only.")
def create_user(name: str, role: str, no_password: bool) -> None:
    """Make a user. The password is asked for, or read from standard input.

    A viewer looks; an operator also starts, stops and changes runs; an admin also decides who may do so. With the first
    user, who must be an admin, everybody has to sign in at a server with this record.
    """
    password = None if no_password else _new_password()
    user = _call(asked.CREATE_USER, asked.CreateUser(name=name, role=Role(role), password=password))
    click.echo(f"Created user {user.name!r} with the role {user.role.value}.")


@auth.command()
@choosing.limit_option(100)
@output_option
def users(limit: int, output: str) -> None:
    """List users, by name."""
    found = _pages(asked.LIST_USERS, asked.ListUsers(), limit)
    if output == JSON:
        print_json(found)
    elif found:
        now = shown.now()
        rows = [
            (
                each.name,
                each.role.value,
                "disabled" if each.disabled else "password and keys" if each.has_password else "keys",
                shown.relative(each.created, now),
                shown.relative(each.updated, now),
            )
            for each in found
        ]
        print_table(("Name", "Role", "Signs in by", "Created", "Updated"), rows)
    else:
        remark(NO_USERS)


@auth.command("set-role")
@click.argument("name")
@click.argument("role", type=click.Choice(_ROLES))
def set_role(name: str, role: str) -> None:
    """Give a user another role. Sessions of the user end."""
    _call(asked.UPDATE_USER, asked.UpdateUser(name=name, role=Role(role)))
    click.echo(f"User {name!r} has the role {role}.")


@auth.command()
@click.argument("name")
def disable(name: str) -> None:
    """Shut a user out: sessions end, keys and password are refused."""
    _call(asked.UPDATE_USER, asked.UpdateUser(name=name, disabled=True))
    click.echo(f"User {name!r} is disabled.")


@auth.command()
@click.argument("name")
def enable(name: str) -> None:
    """Let a disabled user in again."""
    _call(asked.UPDATE_USER, asked.UpdateUser(name=name, disabled=False))
    click.echo(f"User {name!r} is enabled.")


@auth.command("set-password")
@click.argument("name")
def set_password(name: str) -> None:
    """Set a user's password; for one's own the current one is asked for. Sessions of the user end.

    In a pipe the new password is read from standard input; for one's own, the current one from the line before it.
    """
    me = _call(asked.READ_ME, Nothing())
    current = _secret("Current password") if me.name == name else None
    _call(asked.SET_PASSWORD, asked.SetPassword(name=name, password=_new_password(), current=current))
    click.echo(f"User {name!r} has another password.")


# --- keys ------------------------------------------------------------------------------------------------------------


@auth.command("create-key")
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), help="No more than this.  [default: the owner's; else operator]")
@click.option("--expires", metavar="TIME", help="Good for so long (90d, 12h), or until this time (2027-01-31).")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    help=f"Good for this only: {READ}, {JOURNAL}, or operations by name (cancel_*). May be given again.",
)
@click.option("--user", "owner", metavar="NAME", help="Whose key it is.  [default: yours; without one, nobody's]")
@output_option
def create_key(
    name: str, role: str | None, expires: str | None, scopes: tuple[str, ...], owner: str | None, output: str
) -> None:
    """Make an API key, and show it, once."""
    wanted = asked.CreateKey(
        name=name,
        role=None if role is None else Role(role),
        scopes=scopes,
        expires=None if expires is None else _time_to_come(expires, shown.now()),
        owner=owner,
    )
    key = _call(asked.CREATE_API_KEY, wanted)
    if output == JSON:
        print_json(key)
        return
    click.echo(key.text)
    if is_terminal(sys.stdout):
        remark(f"This is the key {key.name!r} ({_powers(key)}). It is shown only now: only a digest is kept.")


@auth.command()
@choosing.limit_option(100)
@click.option("--all", "all_", is_flag=True, help="Also those that have expired or were revoked.")
@output_option
def keys(limit: int, all_: bool, output: str) -> None:
    """List API keys: your own, for an admin everybody's."""
    now = shown.now()
    found = [key for key in _pages(asked.LIST_API_KEYS, asked.ListKeys(), limit) if all_ or _state(key, now) == "good"]
    if output == JSON:
        print_json(found)
    elif found:
        rows = [
            (
                key.prefix,
                key.name,
                key.owner or "",
                _powers(key),
                _state(key, now),
                shown.relative(key.expires, now),
                shown.relative(key.last_used, now) or "never",
            )
            for key in found
        ]
        print_table(("Prefix", "Name", "User", "May", "State", "Expires", "Used"), rows)
    else:
        remark(NO_KEYS)


@auth.command("revoke-key")
@click.argument("key", metavar="NAME|PREFIX")
def revoke_key(key: str) -> None:
    """Make an API key worthless, at once and for ever."""
    revoked = _call(asked.REVOKE_API_KEY, asked.RevokeKey(key))
    click.echo(f"Revoked API key {revoked.name!r} ({revoked.prefix}…).")


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expires is not None and key.expires <= now else "good"


def _powers(key: ApiKey) -> str:
    scopes = "" if key.scopes is None else f": {', '.join(key.scopes)}"
    return f"{key.role.value}{scopes}"


# --- signing in ------------------------------------------------------------------------------------------------------


@auth.command()
@click.argument("name", required=False)
@click.option("--key", "by_key", is_flag=True, help="Sign in with an API key that you have, which is asked for.")
@click.option("--expires", metavar="TIME", default="90d", show_default=True, help="How long it is good for.")
def login(name: str | None, by_key: bool, expires: str) -> None:
    """Sign in at the server of PENSTOCK_API_URL.

    By name and password: makes an API key and keeps that, not the password, in the active profile.
    """
    from penstock.settings import PENSTOCK_API_KEY, temporary_settings
    from penstock.settings.profiles import active_profile, set_in_profile

    url = _server()
    if by_key:
        text = _secret("API key")
    else:
        name = name or click.prompt("Name")
        wanted = asked.LoginForKey(
            name=name,
            password=_secret("Password"),
            key_name=f"{names.slug(socket.gethostname())[:40] or 'login'}-{secrets.token_hex(3)}",
            expires=_time_to_come(expires, shown.now()),
        )
        text = _call(asked.LOGIN_FOR_KEY, wanted).text
    with temporary_settings({PENSTOCK_API_KEY: text}):
        me = _call(asked.READ_ME, Nothing())
    if not me.sign_in:
        raise ConfigurationError(f"Nobody has to sign in at {url}; nothing was changed.")
    profile = active_profile()
    set_in_profile(profile, {PENSTOCK_API_KEY: text})
    click.echo(f"Signed in at {url} as {me.who} ({me.role.value}); the key is in the profile {profile!r}.")
    if PENSTOCK_API_KEY.value() != text:
        remark(f"PENSTOCK_API_KEY is also set elsewhere ({PENSTOCK_API_KEY.source()}), which wins. Unset it there.")


@auth.command()
@click.option("--keep-key", is_flag=True, help="Only forget the key here; it stays good.")
def logout(keep_key: bool) -> None:
    """Take the API key out of the active profile, and revoke it."""
    from penstock.settings import PENSTOCK_API_KEY
    from penstock.settings.profiles import active_profile, read_profile, unset_in_profile

    profile = active_profile()
    text = read_profile(profile).get(PENSTOCK_API_KEY.name)
    if text is None:
        raise ConfigurationError(f"There is no API key in the profile {profile!r}.")
    revoked = False
    if not keep_key:
        _server()
        me = _call(asked.READ_ME, Nothing())
        if me.key is not None and str(text).startswith(me.key):
            _call(asked.REVOKE_API_KEY, asked.RevokeKey(me.key))
            revoked = True
    unset_in_profile(profile, [PENSTOCK_API_KEY])
    click.echo(f"Signed out: the key is no longer in the profile {profile!r}{', and was revoked' if revoked else ''}.")


@auth.command()
@output_option
def whoami(output: str) -> None:
    """Show who you are to the server (or the record), and what you may."""
    from penstock.settings import PENSTOCK_API_URL

    me = _call(asked.READ_ME, Nothing())
    if output == JSON:
        print_json({"who": me.who, "role": me.role, "name": me.name, "key": me.key, "scopes": me.scopes,
                    "sign_in": me.sign_in})  # fmt: skip
        return
    print_fields({"You are": me.who, "Role": me.role.value})
    if me.scopes is not None:
        print_fields({"Scopes": ", ".join(me.scopes)})
    if not me.sign_in and PENSTOCK_API_URL.value() is None:
        remark("You are at the record itself: whoever can open it may do everything.")
    elif not me.sign_in:
        remark("Nobody has to sign in at this server.")


def _server() -> str:
    from penstock.settings import PENSTOCK_API_URL

    url = PENSTOCK_API_URL.value()
    if url is None:
        raise ConfigurationError(
            "There is no server to sign in at: PENSTOCK_API_URL is not set. `penstock config set "
            "PENSTOCK_API_URL=http://HOST:4200/api` sets it."
        )
    return url


# --- the audit log ---------------------------------------------------------------------------------------------------


@auth.command()
@click.option("--who", metavar="TEXT", help="With this text in who it was.")
@click.option("--operation", metavar="NAME", help="Only this operation (cancel_flow_run).")
@click.option("--since", metavar="TIME", help="Since this time (2025-06-30T21:31), or so long ago (2h, 1d).")
@click.option("--until", metavar="TIME", help="Before this time, or longer ago than this.")
@choosing.limit_option(50)
@output_option
def audit(
    who: str | None, operation: str | None, since: str | None, until: str | None, limit: int, output: str
) -> None:
    """Show who changed what, the newest first."""
    now = shown.now()
    found: list[AuditEntry] = _pages(
        asked.READ_AUDIT_LOG,
        asked.ReadAudit(
            who=who,
            operation=operation,
            since=None if since is None else filters.moment(since, now),
            until=None if until is None else filters.moment(until, now),
        ),
        limit,
    )
    if output == JSON:
        print_json(found)
        return
    if not found:
        remark("No lines of the audit log fit.")
        return
    rows = [
        (
            shown.local(each.at)[:19],
            shown.one_line(each.who),
            each.operation,
            shown.one_line(_about(each)),
            each.outcome,
            each.address,
        )
        for each in found
    ]
    print_table(("When", "Who", "What", "About", "Outcome", "From"), rows)


def _about(entry: AuditEntry) -> str:
    return " ".join([*entry.objects, *(f"{name}={value}" for name, value in entry.arguments.items())])


# --- what is typed ---------------------------------------------------------------------------------------------------


def _pages(operation: Operation[Any, Any], query: Any, limit: int) -> list[Any]:
    """The first `limit` of a list, page by page."""
    found: list[Any] = []
    cursor = None
    while len(found) < limit:
        page = _call(operation, structs.replace(query, limit=min(limit - len(found), MOST), cursor=cursor))
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    return found


def _time_to_come(text: str, now: datetime) -> datetime:
    """`90d` from now on, or a time as it stands. Raises `FilterError`."""
    moment = filters.moment(text, now)
    return now + (now - moment) if _SPAN.fullmatch(text.strip()) else moment


def _new_password() -> str:
    if not is_terminal(sys.stdin):
        return _secret("Password")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _secret(what: str) -> str:
    """Typed unseen, or the next line of standard input. Raises `UnstorableValue`."""
    if is_terminal(sys.stdin):
        return str(click.prompt(what, hide_input=True, err=True)).strip()
    line = sys.stdin.readline(LONGEST_PASSWORD + 2).rstrip("\r\n")
    if not line:
        raise UnstorableValue(f"{what}: there is nothing in standard input.")
    return line
