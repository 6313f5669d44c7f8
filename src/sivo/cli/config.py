"""``sivo config``: read, change and explain the configuration of a tenant."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from sivo.cli.client import Client, CliError
from sivo.cli.output import cell, show
from sivo.cli.resource import reason_header
from sivo.cli.session import AsJson, Reason, Tenant, connect, connect_to

group = typer.Typer(help="Configuration keys of a tenant.", no_args_is_help=True)
_MERGE = "application/merge-patch+json"


@group.command("get")
def get(tenant: Tenant, key: Annotated[str, typer.Argument(help="One key; all if absent.")] = "") -> None:
    """Print all effective values as flat JSON, or one value bare."""
    client, tenant_id = connect_to(tenant)
    values = client.call("GET", "/api/config", tenant=tenant_id).body
    if not key:
        show(values)
    elif key in values:
        print(cell(values[key]))
    else:
        raise CliError(f"there is no key {key}; `sivo config schema` lists all")


@group.command("set")
def set_(
    tenant: Tenant,
    key: Annotated[str, typer.Argument(help="Key, for example ai.max_turns.")],
    value: Annotated[str, typer.Argument(help="New value; lists as JSON.")],
    reason: Reason = "",
) -> None:
    """Set one key at the level of the tenant."""
    client, tenant_id = connect_to(tenant)
    change = {key: typed(_schema(client, key), value)}
    answer = client.call(
        "PATCH", "/api/config", change, tenant=tenant_id, headers=reason_header(reason), content_type=_MERGE
    )
    print(f"{key} = {cell(answer.body.get(key)) if isinstance(answer.body, dict) else value}")


@group.command("unset")
def unset(
    tenant: Tenant, key: Annotated[str, typer.Argument(help="Key to take back to its default.")], reason: Reason = ""
) -> None:
    """Remove the tenant's own value, so that plan, platform or default apply."""
    client, tenant_id = connect_to(tenant)
    answer = client.call(
        "PATCH", "/api/config", {key: None}, tenant=tenant_id, headers=reason_header(reason), content_type=_MERGE
    )
    print(f"{key} = {cell(answer.body.get(key)) if isinstance(answer.body, dict) else 'default'}")


@group.command("explain")
def explain(tenant: Tenant, key: Annotated[str, typer.Argument(help="Key.")]) -> None:
    """Print where the effective value of a key comes from."""
    client, tenant_id = connect_to(tenant)
    show(client.call("GET", f"/api/config/{quote(key, safe='')}", tenant=tenant_id).body)


@group.command("schema")
def schema(key: Annotated[str, typer.Argument(help="One key; all if absent.")] = "", as_json: AsJson = False) -> None:
    """Print type, bounds, default, scopes and help of the keys."""
    found = _descriptions(connect())
    if key:
        found = [item for item in found if item["key"] == key]
        if not found:
            raise CliError(f"there is no key {key}; `sivo config schema` lists all")
    if as_json or key:
        show(found[0] if key else found)
        return
    for item in found:
        print(f"{item['key']}  (default {cell(item['default'])}; takes effect: {item['when']})")
        print(f"    {item['help']}")


def typed(schema_of_key: dict[str, Any], text: str) -> Any:
    """``text`` as the JSON type that the key's schema wants; text stays text where a string is wanted."""
    if schema_of_key.get("type") == "string" or "enum" in schema_of_key:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text  # the platform refuses it, naming the rule


def _descriptions(client: Client) -> list[dict[str, Any]]:
    body = client.call("GET", "/api/config/schema").body
    return list(body["keys"] if isinstance(body, dict) else body)


def _schema(client: Client, key: str) -> dict[str, Any]:
    for item in _descriptions(client):
        if item["key"] == key:
            return dict(item["schema"])
    return {}
