"""What every command shares: the connection, and which tenant is meant."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from sivo.base.settings import Settings
from sivo.cli.client import Client, CliError

Tenant = Annotated[
    str,
    typer.Option(
        "--tenant",
        "-t",
        envvar="SIVO_TENANT",
        help="Slug or id of the tenant; may be left out while there is only one.",
        default_factory=str,
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of columns.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; recorded in the ledger.")]


def connect() -> Client:
    """A client of the platform whose data is in SIVO_HOME, or of the one at SIVO_URL with the key SIVO_API_KEY."""
    url = os.environ.get("SIVO_URL", "")
    if url:
        return Client(Path(), url, os.environ.get("SIVO_API_KEY", ""))
    return Client(Settings().api_socket)


def connect_to(tenant: str) -> tuple[Client, UUID]:
    """A client and the id of ``tenant``; without a name, of the only tenant there is."""
    client = connect()
    return client, client.tenant_id(tenant) if tenant else _only_tenant(client)


def _only_tenant(client: Client) -> UUID:
    if client.remote:
        own = client.call("GET", "/api/me").body.get("tenant_id")
        if own:
            return UUID(own)
    found = client.call("GET", "/api/tenants", limit=10).body["items"]
    if len(found) == 1:
        return UUID(found[0]["id"])
    names = ", ".join(one["slug"] for one in found) or "none yet, see `sivo tenant create`"
    raise CliError(f"name the tenant with --tenant: {names}", 2)
