"""``sivo admin create``: the first person of a tenant who may change it, by one command."""

from __future__ import annotations

import secrets
import sys
from typing import Annotated
from uuid import UUID

import typer

from sivo.cli.client import Client, CliError
from sivo.cli.output import show
from sivo.cli.resource import items_of
from sivo.cli.session import Tenant, connect_to

group = typer.Typer(help="Administrators.", no_args_is_help=True)


@group.callback()
def _group() -> None:
    """Administrators."""


@group.command("create")
def create(
    tenant: Tenant,
    email: Annotated[str, typer.Option("--email", help="E-mail address to sign in with.")],
    name: Annotated[str, typer.Option("--name", help="Name of the person.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input instead of making one.")
    ] = False,
) -> None:
    """Create a user of role admin with a password; a generated one is printed, this one time."""
    password = _read_password() if password_stdin else secrets.token_urlsafe(18)
    client, tenant_id = connect_to(tenant)
    person = {"email": email, "name": name or email.partition("@")[0], "role": "admin"}
    user = client.call("POST", "/api/users", person, tenant=tenant_id).body
    try:
        client.call("POST", f"/api/users/{user['id']}/password", {"password": password}, tenant=tenant_id)
    except CliError:
        # Nobody could sign in as this user, and its e-mail address would be taken.
        client.call("DELETE", f"/api/users/{user['id']}", tenant=tenant_id)
        raise
    show({"id": user["id"], "email": email, "role": "admin", **({} if password_stdin else {"password": password})})


@group.command("unlock")
def unlock(tenant: Tenant, email: Annotated[str, typer.Option("--email", help="Whose login is locked.")]) -> None:
    """Forget somebody's failed logins, so that they can try again at once."""
    client, tenant_id = connect_to(tenant)
    user_id = user_id_of(client, tenant_id, email)
    show(client.call("POST", f"/api/users/{user_id}/unlock", tenant=tenant_id).body)


@group.command("reset-factors")
def reset_factors(tenant: Tenant, email: Annotated[str, typer.Option("--email", help="Who lost their phone.")]) -> None:
    """Take somebody's second factors away and end their sessions; they enrol again at the next login."""
    client, tenant_id = connect_to(tenant)
    user_id = user_id_of(client, tenant_id, email)
    show(client.call("DELETE", f"/api/users/{user_id}/factors", tenant=tenant_id).body)


def user_id_of(client: Client, tenant_id: UUID, email: str) -> str:
    """The id of the user with this address. Raises CliError."""
    cursor = None
    while True:
        found = client.call("GET", "/api/users", tenant=tenant_id, limit=200, cursor=cursor).body
        for user in items_of(found):
            if user["email"] == email.strip().lower():
                return str(user["id"])
        cursor = found["next"]
        if cursor is None:
            break
    raise CliError(f"there is no user {email} in this tenant")


def _read_password() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise CliError("no password on standard input", 2)
    return password
