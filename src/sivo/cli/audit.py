"""``sivo audit``: who did, read or tried what, and whether the record of it is intact."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
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


def _query(
    since: Since = None,
    until: Until = None,
    user: User = None,
    action: Act = None,
    event: Event = None,
    resource_type: Type = None,
    resource_id: Id = None,
    cross_tenant: Cross = False,
) -> dict[str, str]:
    """What narrows the log, as the API calls it."""
    wanted = {
        "from": since,
        "to": until,
        "user": user,
        "action": action,
        "event": event,
        "resource_type": resource_type,
        "resource_id": resource_id,
        "cross_tenant": "true" if cross_tenant else None,
    }
    return {name: value for name, value in wanted.items() if value}


def _narrowed(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with the options of :func:`_query`, whose result it is given as ``query``."""
    narrowing = inspect.signature(_query, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True)

    @wraps(command)
    def run(**given: Any) -> None:
        command(query=_query(**{name: given.pop(name) for name in narrowing}), **given)

    options = [*(one for name, one in own.parameters.items() if name != "query"), *narrowing.values()]
    shown = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in options]
    run.__signature__ = own.replace(parameters=shown)  # type: ignore[attr-defined]  # typer looks at it
    return run


@group.command("list")
@_narrowed
def list_(
    query: dict[str, str],
    tenant: Whose = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200)] = 50,
    as_json: AsJson = False,
) -> None:
    """Entries of the audit log, newest first."""
    client, tenant_id = _to(tenant)
    path = f"/api/audit?{urlencode({**query, 'limit': limit})}"
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
@_narrowed
def export(
    query: dict[str, str],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write (CSV); it must not exist.")],
    tenant: Whose = "",
) -> None:
    """Write the audit log as CSV; that somebody took it stands in the log."""
    client, tenant_id = _to(tenant)
    path = f"/api/audit/export.csv?{urlencode(query)}"
    text = client.call("GET", path, tenant=tenant_id).body
    try:
        with out.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise CliError(f"{out} cannot be written: {error}", 2) from error
