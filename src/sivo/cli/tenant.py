"""``sivo tenant``: the customers of this platform."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sivo.cli.client import Client, CliError
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


Name = Annotated[str, typer.Argument(help="Slug or id.")]
MERGE = "application/merge-patch+json"


def _patch(name: str, body: dict[str, Any], reason: str) -> None:
    client = connect()
    path = f"/api/tenants/{client.tenant_id(name)}"
    show(client.call("PATCH", path, body, headers=reason_header(reason), content_type=MERGE).body)


def _place(name: str) -> tuple[Client, str]:
    client = connect()
    return client, f"/api/tenants/{client.tenant_id(name)}"


@group.command("suspend")
def suspend(name: Name, reason: Reason = "") -> None:
    """Refuse the tenant's calls and logins; its data stays."""
    _patch(name, {"status": "suspended"}, reason)


@group.command("resume")
def resume(name: Name, reason: Reason = "") -> None:
    """Take a suspension back."""
    _patch(name, {"status": "active"}, reason)


@group.command("delete")
def delete(
    name: Name, reason: Annotated[str, typer.Option("--reason", help="Why; recorded, and kept after the tenant.")]
) -> None:
    """Refuse the tenant everywhere now, and destroy its keys and all its data when the grace is over."""
    client, path = _place(name)
    show(client.call("DELETE", path, headers=reason_header(reason)).body)


@group.command("restore")
def restore(name: Name, reason: Reason = "") -> None:
    """Take a deletion back while its grace lasts."""
    client, path = _place(name)
    show(client.call("POST", f"{path}/restore", headers=reason_header(reason)).body)


@group.command("export")
def export(
    name: Name,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write (tar, mode 0600); it must not be there.")],
    audio: Annotated[bool, typer.Option("--audio", help="Also every recording, decrypted.")] = False,
) -> None:
    """Write configuration, calls, transcripts and recordings of a tenant to a tar."""
    client, path = _place(name)
    size = client.download(f"{path}/export", out, audio="true" if audio else None)
    print(f"{size} bytes written to {out}")


@group.command("plan")
def plan(
    name: Name,
    to: Annotated[str, typer.Option("--to", help="starter, pro or enterprise: what would not fit into it.")] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Change to it.")] = False,
    reason: Reason = "",
) -> None:
    """Show what the tenant's plan includes, or what stands in the way of another one."""
    if apply and to:
        _patch(name, {"plan": to}, reason)
        return
    if apply:
        raise CliError("say which plan with --to", 2)
    client, path = _place(name)
    show(client.call("GET", f"{path}/plan", to=to or None).body)
