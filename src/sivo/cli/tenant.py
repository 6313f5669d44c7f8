"""``sivo tenant``: the customers of this platform."""

from __future__ import annotations

from typing import Annotated

import typer

from sivo.cli.output import show, table
from sivo.cli.resource import items_of, reason_header
from sivo.cli.session import AsJson, Reason, connect

group = typer.Typer(help="Tenants of this platform.", no_args_is_help=True)


@group.command("create")
def create(
    name: Annotated[str, typer.Option("--name", help="Name of the organisation.")],
    slug: Annotated[str, typer.Option("--slug", help="First label of its hosts; made from the name if absent.")] = "",
    plan: Annotated[str, typer.Option("--plan", help="starter, pro or enterprise.")] = "starter",
    reason: Reason = "",
) -> None:
    """Create a tenant and print it with its id."""
    body = {"name": name, "plan": plan, **({"slug": slug} if slug else {})}
    show(connect().call("POST", "/api/tenants", body, headers=reason_header(reason)).body)


@group.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all tenants."""
    items = items_of(connect().call("GET", "/api/tenants").body)
    if as_json:
        show(items)
    else:
        table(items, ("id", "slug", "name", "plan", "status"))


@group.command("get")
def get(name: Annotated[str, typer.Argument(help="Slug or id.")]) -> None:
    """Show one tenant."""
    client = connect()
    show(client.call("GET", f"/api/tenants/{client.tenant_id(name)}").body)
