"""``sivo ledger``: who changed what, and whether the record of it is intact."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sivo.cli.client import CliError
from sivo.cli.output import show, table
from sivo.cli.resource import items_of
from sivo.cli.session import AsJson, Tenant, connect_to

group = typer.Typer(help="The hash-chained ledger of changes.", no_args_is_help=True)


@group.command("verify")
def verify(tenant: Tenant) -> None:
    """Recompute the chain and check its signature; exit status 1 when it is broken."""
    client, tenant_id = connect_to(tenant)
    result: dict[str, Any] = client.call("GET", "/api/ledger/verify", tenant=tenant_id).body
    show(result)
    if not result.get("ok"):
        raise CliError("the ledger is not intact")


@group.command("history")
def history(
    tenant: Tenant, limit: Annotated[int, typer.Option("--limit", "-n", min=1)] = 20, as_json: AsJson = False
) -> None:
    """List the latest changes with author and reason."""
    client, tenant_id = connect_to(tenant)
    items = items_of(client.call("GET", "/api/config/history", tenant=tenant_id, limit=limit).body)
    if as_json:
        show(items)
    else:
        table(items, ("seq", "at", "author", "reason", "changes"))
