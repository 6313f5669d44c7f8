"""``sivo audit``: who did, read or tried what, and whether the record of it is intact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import typer

from sivo.cli.client import Client, CliError
from sivo.cli.output import show, table
from sivo.cli.resource import items_of
from sivo.cli.session import AsJson, connect, connect_to

group = typer.Typer(help="The audit log, and proofs.", no_args_is_help=True)

Whose = Annotated[
    str,
    typer.Option(
        "--tenant", "-t", envvar="SIVO_TENANT", help="Slug or id of the tenant; without one the platform's own log."
    ),
]
Since = Annotated[str | None, typer.Option("--from", help="Not before (ISO 8601 with offset).")]
Until = Annotated[str | None, typer.Option("--to", help="Before.")]
User = Annotated[str | None, typer.Option("--user", help="Id or e-mail address of who did it.")]
Act = Annotated[str | None, typer.Option("--action", help="create, update, delete or access.")]
Event = Annotated[str | None, typer.Option("--event", help="For example login.failed.")]
Type = Annotated[str | None, typer.Option("--resource-type")]
Id = Annotated[str | None, typer.Option("--resource-id")]
Cross = Annotated[bool, typer.Option("--cross-tenant", help="Only what people from outside the tenant did.")]


def _to(tenant: str) -> tuple[Client, UUID | None]:
    client = connect()
    return connect_to(tenant) if tenant or client.remote else (client, None)


def _path(path: str, **wanted: str | int | bool | None) -> str:
    """``path`` with what narrows it; ``since`` is called ``from`` on the wire."""
    said = {"from" if name == "since" else name: value for name, value in wanted.items() if value}
    return f"{path}?{urlencode({name: 'true' if value is True else value for name, value in said.items()})}"


@group.command("list")
def list_(
    tenant: Whose = "",
    since: Since = None,
    until: Until = None,
    user: User = None,
    action: Act = None,
    event: Event = None,
    resource_type: Type = None,
    resource_id: Id = None,
    cross_tenant: Cross = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200)] = 50,
    as_json: AsJson = False,
) -> None:
    """Entries of the audit log, newest first."""
    client, tenant_id = _to(tenant)
    path = _path(
        "/api/audit",
        since=since,
        to=until,
        user=user,
        action=action,
        event=event,
        resource_type=resource_type,
        resource_id=resource_id,
        cross_tenant=cross_tenant,
        limit=limit,
    )
    items = items_of(client.call("GET", path, tenant=tenant_id).body)
    if as_json:
        show(items)
    else:
        table([_row(one) for one in items], ("timestamp", "event", "action", "who", "from", "resource", "outside"))


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    actor, resource = entry["actor"], entry["resource"]
    return {
        "timestamp": entry["timestamp"],
        "event": entry["event"],
        "action": entry["action"],
        "who": actor["email"] or actor["id"],
        "from": actor["ip"] or "-",
        "resource": f"{resource['type']}/{resource['id']}",
        "outside": "yes" if entry["crossTenant"] else "",
    }


@group.command("verify")
def verify(tenant: Whose = "") -> None:
    """Recompute the chain, its signatures and what was pruned; exit status 1 when it is broken.

    Without a tenant every chain of the platform is checked.
    """
    client, tenant_id = _to(tenant)
    result: dict[str, Any] = client.call("GET", "/api/audit/verify", tenant=tenant_id).body
    show(result)
    if not result.get("ok"):
        raise CliError("the audit log is not intact")


@group.command("export")
def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write (CSV); it must not exist.")],
    tenant: Whose = "",
    since: Since = None,
    until: Until = None,
    user: User = None,
    action: Act = None,
    event: Event = None,
    resource_type: Type = None,
    resource_id: Id = None,
    cross_tenant: Cross = False,
) -> None:
    """Write the audit log as CSV; that somebody took it stands in the log."""
    client, tenant_id = _to(tenant)
    path = _path(
        "/api/audit/export.csv",
        since=since,
        to=until,
        user=user,
        action=action,
        event=event,
        resource_type=resource_type,
        resource_id=resource_id,
        cross_tenant=cross_tenant,
    )
    text = client.call("GET", path, tenant=tenant_id).body
    try:
        with out.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise CliError(f"{out} cannot be written: {error}", 2) from error
