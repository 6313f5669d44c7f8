"""``sivo vault``: the keys under which everything secret is kept."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sivo.cli.client import CliError
from sivo.cli.output import show, table
from sivo.cli.session import AsJson, Tenant, connect, connect_to

group = typer.Typer(help="Keys under which secrets and recordings are kept.", no_args_is_help=True)
_COLUMNS = ("kek_id", "state", "data_keys", "held", "since", "retired_at")


@group.command("status")
def status(as_json: AsJson = False) -> None:
    """Key-encryption keys by id: which wraps, which still opens, how many data keys each has."""
    keys = connect().call("GET", "/api/vault").body["keys"]
    if as_json:
        show(keys)
    else:
        table(keys, _COLUMNS)


@group.command("rotate")
def rotate(
    wait: Annotated[bool, typer.Option(help="Stay until the old key is retired.")] = True,
) -> None:
    """Wrap every data key again under the key of SIVO_KEK, and retire the one before. Can be interrupted and repeated.

    Before: restart every node with SIVO_KEK (new) and SIVO_KEK_PREVIOUS (old). After: take SIVO_KEK_PREVIOUS out.
    """
    client = connect()
    keys = client.call("POST", "/api/vault/rotate", {}).body["keys"]
    said = -1
    while wait and (left := _left(keys)) is not None:
        if left != said:
            print(f"{left} data keys to go")
            said = left
        time.sleep(0.5)
        keys = client.call("GET", "/api/vault").body["keys"]
    table(keys, _COLUMNS)


@group.command("rotate-data-key")
def rotate_data_key(tenant: Tenant) -> None:
    """Give a tenant another data key; its secrets are sealed again, older recordings stay readable."""
    client, tenant_id = connect_to(tenant)
    show(client.call("POST", "/api/vault/data-key/rotate", {}, tenant=tenant_id).body)


@group.command("make-key")
def make_key(path: Annotated[Path, typer.Argument(help="Where the new key file goes; must not exist.")]) -> None:
    """Make a key-encryption key in a file (32 random bytes, mode 0600) and print its id."""
    from sivo.vault.kek import FileKek  # the other commands need none of it

    if path.exists():
        raise CliError(f"there is a file {path} already, and a key is never written over", 1)
    print(FileKek.load(path).kek_id)


def _left(keys: list[dict[str, Any]]) -> int | None:
    """Data keys that are still under a key to be retired; None when there is no such key any more."""
    old = [one for one in keys if one["state"] == "readable"]
    return sum(int(one["data_keys"]) for one in old) if old else None
