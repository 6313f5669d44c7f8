"""``sivo webhook``: what was sent to the customers' systems."""

from __future__ import annotations

from typing import Annotated

import typer

from sivo.cli.output import show, table
from sivo.cli.resource import items_of
from sivo.cli.session import AsJson, Tenant, connect_to

group = typer.Typer(help="Webhook deliveries.", no_args_is_help=True)


@group.callback()
def _group() -> None:
    """Webhook deliveries."""


@group.command("deliveries")
def deliveries(
    tenant: Tenant,
    state: Annotated[str | None, typer.Option("--state", help="pending, delivered or dead.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest first."""
    client, tenant_id = connect_to(tenant)
    answer = client.call("GET", "/api/webhook-deliveries", tenant=tenant_id, state=state, limit=limit)
    items = items_of(answer.body)
    if as_json:
        show(items)
    else:
        table(items, ("id", "event_id", "type", "state", "attempts", "last_status", "due_at"))
