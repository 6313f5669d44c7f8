"""``sivo probe``: whether the API, the registrar and the dashboard do the real thing, tried from this machine."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer

from sivo.base.settings import Settings
from sivo.cli.client import Client, CliError
from sivo.cli.output import show
from sivo.cli.resource import items_of
from sivo.cli.session import AsJson, Tenant, connect_to

group = typer.Typer(help="Probes of the API, of registration and of the dashboard.", no_args_is_help=True)
#: Nobody reads mail there, and none is sent: the account is given its password here.
EMAIL = "probe@probes.sivocenter.com"


@group.command("setup")
def setup(
    tenant: Tenant,
    extension: Annotated[str, typer.Option("--extension", help="Number of the probes' extension.")] = "9990",
) -> None:
    """Make the user (viewer) and the extension that the probes use; again: with new passwords."""
    from sivo.monitoring.probes.account import ProbeAccount

    client, tenant_id = connect_to(tenant)
    if client.remote:
        raise CliError("the probes' account is kept on the machine of the platform: run this there", 2)
    password = secrets.token_urlsafe(24)
    user = _mine(client, tenant_id, "users", "email", EMAIL) or _make(
        client, tenant_id, "users", {"email": EMAIL, "name": "Probe", "role": "viewer"}
    )
    client.call("POST", f"/api/users/{user['id']}/password", {"password": password}, tenant=tenant_id)
    known = _mine(client, tenant_id, "extensions", "number", extension)
    if known is not None:
        client.call("DELETE", f"/api/extensions/{known['id']}", tenant=tenant_id)
    phone = _make(client, tenant_id, "extensions", {"number": extension, "name": "Probe"})
    config = client.call("GET", "/api/config", tenant=tenant_id).body
    path = ProbeAccount(
        tenant=str(config["tenant.slug"]),
        app_domain=str(config["tenant.dashboard_url"]),
        email=EMAIL,
        password=password,
        sip_domain=str(config["tenant.sip_domain"]),
        extension=extension,
        sip_password=str(phone["sip_password"]),
    ).save(Settings())
    show({"user": EMAIL, "extension": extension, "kept_in": path.name})


@group.command("api")
def api(as_json: AsJson = False) -> None:
    """Sign in and read, over HTTP."""
    _probe("api", as_json)


@group.command("registration")
def registration(as_json: AsJson = False) -> None:
    """Register a phone with its password, over SIP."""
    _probe("registration", as_json)


@group.command("dashboard")
def dashboard(as_json: AsJson = False) -> None:
    """Open the dashboard's first page on the tenant's host."""
    _probe("dashboard", as_json)


def _probe(plane: str, as_json: bool) -> None:
    """Exit status 0: up; 1: down; 2: there is nothing to probe (not installed, not set up)."""
    import asyncio  # the other commands need none of it

    from sivo.monitoring.probes.finding import DOWN
    from sivo.monitoring.probes.prober import Prober

    async def once() -> Any:
        return await Prober(Settings()).probe(plane)

    found = asyncio.run(once())
    if as_json:
        show(asdict(found))
    else:
        typer.echo(f"{found.plane}: {found.state} ({found.detail}; {found.seconds * 1000:.0f} ms)")
    if not found.ok:
        raise typer.Exit(1 if found.state == DOWN else 2)


def _make(client: Client, tenant_id: UUID, plural: str, body: dict[str, Any]) -> dict[str, Any]:
    return dict(client.call("POST", f"/api/{plural}", body, tenant=tenant_id).body)


def _mine(client: Client, tenant_id: UUID, plural: str, field: str, value: str) -> dict[str, Any] | None:
    """The resource whose ``field`` is ``value``."""
    cursor = None
    while True:
        found = client.call("GET", f"/api/{plural}", tenant=tenant_id, limit=200, cursor=cursor).body
        for one in items_of(found):
            if one[field] == value:
                return dict(one)
        cursor = found.get("next") if isinstance(found, dict) else None
        if cursor is None:
            return None
