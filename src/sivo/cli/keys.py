"""``sivo keys``: the keys that sign access tokens."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from sivo.cli.output import show, table
from sivo.cli.session import AsJson, connect

group = typer.Typer(help="Keys that sign access tokens.", no_args_is_help=True)
_COLUMNS = ("kid", "state", "signs_from", "verifies_until")


@group.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Keys in force: published, signing, verifying."""
    items = connect().call("GET", "/api/signing-keys").body["items"]
    if as_json:
        show(items)
    else:
        table(items, _COLUMNS)


@group.command("rotate")
def rotate() -> None:
    """Publish the next key now; it signs ten minutes later, and the old one verifies until its last token expired."""
    answer = connect().call("POST", "/api/signing-keys/rotate").body
    table(answer["items"], _COLUMNS)


@group.command("revoke")
def revoke(
    kid: Annotated[str, typer.Argument(help="Which key, see `sivo keys list`.")],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
) -> None:
    """Emergency: every token that this key signed is refused from now on, and its users sign in again or refresh."""
    answer = connect().call("POST", f"/api/signing-keys/{quote(kid, safe='')}/revoke", {"reason": reason}).body
    table(answer["items"], _COLUMNS)
