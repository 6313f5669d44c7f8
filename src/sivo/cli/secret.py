"""``sivo secret``: provider credentials in the vault; they go in and are shown as fingerprints."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated
from urllib.parse import quote

import typer

from sivo.cli.client import CliError
from sivo.cli.output import show, table
from sivo.cli.resource import items_of
from sivo.cli.session import AsJson, Tenant, connect_to

group = typer.Typer(help="Provider credentials.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name, for example ai.llm or transcription.deepgram.")]


@group.command("set")
def set_(
    name: Name,
    tenant: Tenant,
    host: Annotated[str | None, typer.Option("--host", help="Host that may receive it.")] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Where the STT or TTS engine is served, if not by its vendor.")
    ] = None,
) -> None:
    """Store a secret; its value is read from standard input, never from the command line."""
    value = getpass.getpass("Value: ") if sys.stdin.isatty() else sys.stdin.read().strip()
    if not value:
        raise CliError("no value on standard input", 2)
    client, tenant_id = connect_to(tenant)
    path = f"/api/secrets/{quote(name, safe='')}"
    show(client.call("PUT", path, {"value": value, "host": host, "base_url": base_url}, tenant=tenant_id).body)


@group.command("list")
def list_(tenant: Tenant, as_json: AsJson = False) -> None:
    """List names and fingerprints."""
    client, tenant_id = connect_to(tenant)
    items = items_of(client.call("GET", "/api/secrets", tenant=tenant_id).body)
    if as_json:
        show(items)
    else:
        table(items, ("name", "fingerprint", "host", "updated_at"))


@group.command("delete")
def delete(name: Name, tenant: Tenant) -> None:
    """Forget a secret."""
    client, tenant_id = connect_to(tenant)
    client.call("DELETE", f"/api/secrets/{quote(name, safe='')}", tenant=tenant_id)
    print(f"secret {name} deleted")
