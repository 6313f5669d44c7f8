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
#: Where a remote platform is, and the key for it or the file that holds it.
URL, KEY, KEY_FILE = "SIVO_URL", "SIVO_API_KEY", "SIVO_API_KEY_FILE"
Reason = Annotated[str, typer.Option("--reason", help="Why; recorded in the ledger.")]


def connect() -> Client:
    """A client of the platform whose data is in SIVO_HOME, or of the one at SIVO_URL (``--url``) with an API key."""
    url = os.environ.get(URL, "")
    if url:
        return Client(Path(), url, _key())
    return Client(Settings().api_socket)


def _key() -> str:
    """The key from the environment or from a file: arguments can be read by every user of the machine."""
    given = os.environ.get(KEY, "")
    file = os.environ.get(KEY_FILE, "")
    if not given and file:
        try:
            given = Path(file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CliError(f"the API key cannot be read from {file}: {error}", 2) from error
    if not given:
        raise CliError(f"set {KEY} (or {KEY_FILE}) to an API key; `sivo apikey create` makes one", 2)
    if not given.isascii() or not given.isprintable() or " " in given:
        raise CliError("this is not an API key", 2)
    return given


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
