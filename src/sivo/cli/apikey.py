"""``sivo apikey``: keys with which machines reach the API."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from sivo.cli.output import show, table
from sivo.cli.resource import items_of, reason_header
from sivo.cli.session import AsJson, Reason, Tenant, connect_to

group = typer.Typer(help="API keys of machines.", no_args_is_help=True)
_ROOT = "/api/api-keys"


@group.command("create")
def create(
    tenant: Tenant,
    name: Annotated[str, typer.Option("--name", help="What it is for.")],
    scope: Annotated[list[str], typer.Option("--scope", help="Such as config:read; may be repeated.")],
    role: Annotated[str, typer.Option("--role", help="agent, viewer, supervisor or admin.")] = "viewer",
    days: Annotated[int, typer.Option("--days", min=0, help="How long it lives; 0 = it does not expire.")] = 365,
    reason: Reason = "",
) -> None:
    """Make a key and print it, this one time."""
    client, tenant_id = connect_to(tenant)
    body = {"name": name, "role": role, "scopes": scope, "expires_in_days": days or None}
    show(client.call("POST", _ROOT, body, tenant=tenant_id, headers=reason_header(reason)).body)


@group.command("list")
def list_(tenant: Tenant, as_json: AsJson = False) -> None:
    """List the keys, when each expires and when it was last used."""
    client, tenant_id = connect_to(tenant)
    items = items_of(client.call("GET", _ROOT, tenant=tenant_id).body)
    if as_json:
        show(items)
        return
    rows = [{**item, "scopes": ",".join(item["scopes"])} for item in items]
    table(rows, ("id", "prefix", "name", "role", "scopes", "expires_at", "last_used_at"))


@group.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="Id or prefix of the key.")], tenant: Tenant, reason: Reason = ""
) -> None:
    """Revoke a key, at once and everywhere."""
    client, tenant_id = connect_to(tenant)
    items = items_of(client.call("GET", _ROOT, tenant=tenant_id).body)
    wanted = next((one["id"] for one in items if key in (one["id"], one["prefix"])), key)
    client.call("DELETE", f"{_ROOT}/{quote(wanted, safe='')}", tenant=tenant_id, headers=reason_header(reason))
    print(f"API key {key} revoked")
