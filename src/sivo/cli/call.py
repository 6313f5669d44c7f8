"""``sivo call``: what happened on the phone, and why."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from sivo.calls.timeline import render
from sivo.cli.output import show, table
from sivo.cli.resource import items_of
from sivo.cli.session import AsJson, Tenant, connect_to

group = typer.Typer(help="Calls.", no_args_is_help=True)
_COLUMNS = ("id", "created_at", "direction", "from_number", "to_number", "state", "duration_ms", "hangup_cause")


@group.command("list")
def list_(
    tenant: Tenant, limit: Annotated[int, typer.Option("--limit", "-n", min=1)] = 20, as_json: AsJson = False
) -> None:
    """List the latest calls."""
    client, tenant_id = connect_to(tenant)
    items = items_of(client.call("GET", "/api/calls", tenant=tenant_id, limit=limit).body)
    if as_json:
        show(items)
    else:
        table(items, _COLUMNS)


@group.command("get")
def get(identifier: Annotated[str, typer.Argument(help="Id of the call.")], tenant: Tenant) -> None:
    """Show one call."""
    client, tenant_id = connect_to(tenant)
    show(client.call("GET", f"/api/calls/{quote(identifier, safe='')}", tenant=tenant_id).body)


@group.command("explain")
def explain(
    tenant: Tenant,
    from_: Annotated[str, typer.Option("--from", help="An extension, or a caller's number.")],
    to: Annotated[str, typer.Option("--to", help="What is dialled, or the DID that a carrier calls.")],
    trunk: Annotated[str, typer.Option("--trunk", help="Name of the trunk that it comes on.")] = "",
    at: Annotated[str, typer.Option("--at", help="A version, or a time: as it was then.")] = "",
    queue: Annotated[str, typer.Option("--queue", help="Id of the queue that it has come to, for its policies.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say where a call would go and what would be kept of it, each with its rule. Nobody is called."""
    client, tenant_id = connect_to(tenant)
    asked: dict[str, Any] = {"from": from_, "to": to, "trunk": trunk or None, "at": at or None}
    asked["queue"] = queue or None
    found = client.call("GET", "/api/explain/call", tenant=tenant_id, **asked).body
    if as_json:
        show(found)
        return
    rows = [{"what": name, **one} for name, one in found["decisions"].items()]
    table(rows, ("what", "value", "rule"))


@group.command("trace")
def trace(
    identifier: Annotated[str, typer.Argument(help="Id of the call.")], tenant: Tenant, as_json: AsJson = False
) -> None:
    """Explain one call: SIP ladder, route, configuration that mattered, turns, decisions, deliveries, end."""
    client, tenant_id = connect_to(tenant)
    found = client.call("GET", f"/api/calls/{quote(identifier, safe='')}/trace", tenant=tenant_id).body
    if as_json:
        show(found)
    else:
        typer.echo(render(found), nl=False)
